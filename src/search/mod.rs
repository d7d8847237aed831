//! The two-stage search over a supernet, and the derivation of genotypes from it.

pub mod derive;
pub mod distribution;
pub mod learner;
pub mod min_norm;
