//! Studies: whether strategies of search find more than chance does, on tables and by training.

mod compared;
mod log;
mod plan;
pub mod table;
pub mod trained;

pub use plan::Plan;
