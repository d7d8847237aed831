//! robustnas
pub mod arch;
pub mod config;
pub mod data;
pub mod engine;
pub mod error;
pub mod rank;
pub mod record;
pub mod report;
pub mod seed;
pub mod store;
pub mod threat;
pub mod units;
