//! Reports: bytes and pictures from records and architectures. No tensors, no files: the caller writes the bytes.

pub mod attacked;
pub mod axis;
pub mod blocks;
pub mod cells;
pub mod choices;
mod columns;
pub mod document;
pub mod edf;
pub mod evaluated;
pub mod events;
pub mod examples;
pub mod figure;
pub mod frontier;
pub mod optuna;
pub mod page;
pub mod panel;
#[cfg(feature = "png")]
pub mod pdf;
pub mod plot;
#[cfg(feature = "png")]
pub mod png;
pub mod population;
pub mod protocol;
pub mod ranked;
pub mod robustbench;
pub mod row;
pub mod schema;
pub mod searches;
pub mod seeds;
pub mod stored;
pub mod study;
pub mod style;
pub mod svg;
pub mod table;
pub mod training;
