//! Losses, optimisers, schedules and the one training loop.

pub mod fit;
pub mod loss;
pub mod method;
pub mod optim;
pub mod retrain;
pub mod schedule;
