//! A network by name, its weights, and the forms that other programs take both in.

pub mod candle;
pub mod import;
pub mod layout;
mod load;
pub mod names;
pub mod torch;
pub mod weights;

pub use load::{Model, named};
