//! The two-stage search over a supernet and what is derived from it; and searches that try one network after another.

pub mod collapse;
pub mod derive;
pub mod distribution;
pub mod evaluator;
pub mod learner;
pub mod min_norm;
pub mod ridge;
pub mod select;
pub mod shared;
pub mod space;
pub mod strategy;
pub mod trial;
pub mod zero_cost;
