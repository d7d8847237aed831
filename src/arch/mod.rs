//! Architectures as values. No tensors, no files, no clock, no threads.

pub mod cell;
pub mod chain;
pub mod cost;
pub mod design_space;
pub mod elements;
pub mod families;
pub mod file;
pub mod fourier;
pub mod genotype;
pub mod keys;
pub mod nb201;
pub mod net;
pub mod op;
pub mod position;
pub mod scaling;
pub mod selection;
pub mod shape;
pub mod spec;
