//! What a run looks like to a reader: drawings. Knows architectures, no tensors and no files.

pub mod blocks;
pub mod cells;
pub mod png;
pub mod row;
pub mod svg;
