//! A network by name, and the forms other programs take it in.

pub mod torch;
