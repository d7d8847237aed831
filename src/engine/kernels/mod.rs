//! CPU kernels on one image's planes, `[h, w, c]` slices, one file a family. Plain functions on slices: no plan, no
//! tensors, no threads.

pub mod conv;
pub mod depthwise;
pub mod load;
pub mod norm;
pub mod panels;
pub mod plane;
pub mod pointwise;
pub mod pool;
pub mod product;
pub mod separable;
pub mod winograd;
