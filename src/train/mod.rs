//! Training: the one loop, and the work behind the parts of a [recipe](crate::recipe).

pub mod adamw;
pub mod adversary;
pub mod align;
pub mod average;
pub mod awp;
pub mod descent;
pub mod domain;
pub mod fit;
pub mod free;
pub mod kernels;
pub mod mixing;
pub mod objective;
pub mod optim;
pub mod selection;
pub mod trainee;
pub mod vectors;
pub mod work;
