//! CPU kernels on one image's planes, `[h, w, c]` slices, one file a family. Plain functions on slices: no plan, no
//! tensors, no threads.

pub mod activation;
pub mod attention;
pub mod channels;
pub mod conv;
pub mod conv_norm;
mod convolution;
pub mod correlate;
pub mod cross_covariance;
pub mod depthwise;
pub mod flc_pool;
pub mod group_norm;
pub mod incoming;
pub mod load;
pub mod matrix;
pub mod norm;
pub mod panels;
pub mod phases;
pub mod plane;
pub mod pointwise;
pub mod pool;
pub mod prefetch;
pub mod product;
pub mod separable;
pub mod softmax;
pub mod tokens;
pub mod winograd;
