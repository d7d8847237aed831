//! Optimisers, schedules and the one training loop.

pub mod fit;
pub mod method;
pub mod optim;
pub mod retrain;
pub mod schedule;
