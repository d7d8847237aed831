//! Searches that try networks of one size by training them, for runs and for studies.

mod networks;
mod notes;
mod search;
pub mod supernet;
mod training;

pub use networks::{Built, Networks};
pub use notes::Notes;
pub use search::{Search, too_dear};
pub use training::{Seeds, Trainings};
