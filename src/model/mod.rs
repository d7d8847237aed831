//! A network by name, and its weights in this program's layout and in others'.

pub mod import;
mod load;
pub mod names;
pub mod weights;

pub use load::Model;
