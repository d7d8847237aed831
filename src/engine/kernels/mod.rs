//! CPU kernels on one image's planes, `[h, w, c]` slices, one file a family. Plain functions on slices: no plan, no
//! tensors, no threads.

pub mod conv;
pub mod correlate;
pub mod depthwise;
pub mod incoming;
pub mod load;
pub mod norm;
pub mod panels;
pub mod phases;
pub mod plane;
pub mod pointwise;
pub mod pool;
pub mod prefetch;
pub mod product;
pub mod separable;
pub mod winograd;
