//! Families of networks, one file each; every one lowers to a [`Net`](super::net::Net).

pub mod cells;
pub mod nb201;
pub mod preact_resnet;
