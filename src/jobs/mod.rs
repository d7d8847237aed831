//! Jobs: everything that takes long, reads data and writes folders. Each can be interrupted and taken up again.

mod at;
pub mod attack;
pub mod candidates;
pub mod estimate;
mod interrupt;
pub mod measure;
mod memory;
pub mod page;
pub mod population;
mod progress;
pub mod search;
pub mod slurm;
pub mod speed;
mod stage;
pub mod state;
pub mod stored;
mod strategy;
pub mod study;
mod task;
pub mod time;
pub mod train;
pub mod trainings;

pub use at::At;
pub use interrupt::Interrupt;
pub use memory::{peak_resident, resident};
pub use progress::{Observer, Progress};
pub use task::Task;
pub use time::{DAY, duration_words};
