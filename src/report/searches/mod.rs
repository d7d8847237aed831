//! What a study by training amounts to: how good random networks, the hand-made one and those that searches found are; three
//! questions about each strategy with their answers; what chance in training is worth, and what predicts a network.

pub mod facts;
mod network;
pub mod picture;
mod proxies;
mod questions;
mod study;
mod text;

pub use network::{Cost, Network};
pub use proxies::{Noise, Proxy};
pub use questions::{Asked, Question, Verdict};
pub use study::{About, SearchesReport, Strategy};
