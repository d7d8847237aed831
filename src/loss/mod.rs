//! Losses on logits: `(logits, labels) -> (value, gradient)`. Training and attacks share them; neither is known here.

pub mod accuracy;
pub mod aim;
pub mod cross_entropy;
pub mod divergence;
pub mod mart;
pub mod objective;
pub mod targets;

pub use accuracy::{correct, is_correct};
pub use aim::{Aim, descending, rival, targets, total};
pub use cross_entropy::{cross_entropy, cross_entropy_of};
pub use divergence::{Divergence, divergence, divergence_of};
pub use objective::{Terms, terms};
pub use targets::Targets;
