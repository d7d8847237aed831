//! CUDA kernels, one file a family: `NAME.cu` has them, `NAME.rs` says how they are launched. Each takes one structure, which
//! both files have field by field. No plan, no driver.

pub mod convolution;
pub mod depthwise;
pub mod norm;
pub mod parts;
pub mod planes;
pub mod pointwise;
pub mod pool;
pub mod sum;
