//! robustnas
pub mod arch;
pub mod config;
pub mod error;
pub mod record;
pub mod report;
pub mod seed;
pub mod threat;
pub mod units;
