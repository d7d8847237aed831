//! Studies: whether strategies of search find more than chance does, on tables and by training.

mod log;
mod networks;
mod plan;
mod search;
pub mod table;
pub mod trained;
mod training;

pub use plan::Plan;
