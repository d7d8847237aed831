//! One store of weights that all networks of a space share, and how it is trained: a network a step.

mod path;
mod single_path;
mod store;

pub use path::path;
pub use single_path::{SinglePath, SizedNet};
pub use store::Store;
