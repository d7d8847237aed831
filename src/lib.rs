//! robustnas
pub mod arch;
pub mod config;
pub mod data;
pub mod engine;
pub mod error;
pub mod record;
pub mod seed;
pub mod threat;
pub mod units;
