//! Whether a search found something: tests, intervals and power for few and noisy numbers, and what a study amounts to.
//!
//! All tests are one-sided, with the question which of two is larger asked beforehand.

mod best_of;
mod bootstrap;
mod holm;
mod kendall;
mod mann_whitney;
mod moments;
mod power;
mod welch;

pub use best_of::{BestOf, Chosen};
pub use bootstrap::{Interval, TAILS, quantile};
pub use holm::holm;
pub use kendall::{Kendall, kendall, kendall_within, partial};
pub use mann_whitney::mann_whitney;
pub use moments::Moments;
pub use power::{Design, Power, power};
pub use welch::{Measured, Welch, welch, welch_adjusted};

/// The share of cases in which an interval holds what it is of.
pub const CONFIDENCE: f64 = 0.95;
