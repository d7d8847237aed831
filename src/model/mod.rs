//! A network by name, its weights, and both in the forms of other programs (PyTorch, candle).

pub mod candle;
pub mod import;
pub mod layout;
mod load;
pub mod names;
pub mod torch;
pub mod weights;

pub use load::{Model, named};
