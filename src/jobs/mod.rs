//! Jobs: everything that takes long, reads data and writes folders. Each can be interrupted and taken up again.

pub mod candidates;
pub mod estimate;
mod interrupt;
pub mod measure;
mod memory;
pub mod population;
mod progress;
pub mod search;
mod stage;
mod time;

pub use interrupt::Interrupt;
pub use memory::{peak_resident, resident};
pub use progress::Progress;
pub use time::duration_words;
