//! Reports: bytes from records. No tensors, no run folders; whoever calls decides where the bytes go.

pub mod axis;
pub mod document;
pub mod frontier;
pub mod plot;
pub mod png;
pub mod protocol;
pub mod ranked;
pub mod schema;
pub mod svg;
pub mod table;
