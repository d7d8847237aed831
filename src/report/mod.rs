//! Reports: bytes and pictures from records and architectures. No tensors, no files: the caller writes the bytes.

pub mod attacked;
pub mod axes;
pub mod axis;
pub mod bands;
pub mod blocks;
pub mod cells;
pub mod choices;
mod columns;
pub mod comparison;
pub mod document;
pub mod edf;
pub mod evaluated;
pub mod events;
pub mod examples;
pub mod figure;
mod frame;
pub mod frontier;
mod legend;
mod marks;
pub mod optuna;
pub mod page;
pub mod panel;
#[cfg(feature = "png")]
pub mod pdf;
mod placing;
pub mod plot;
#[cfg(feature = "png")]
pub mod png;
pub mod population;
pub mod protocol;
pub mod ranked;
pub mod robustbench;
pub mod row;
pub mod scalars;
pub mod schema;
pub mod searches;
pub mod seeds;
pub mod spread;
pub mod stored;
pub mod study;
pub mod style;
pub mod svg;
pub mod table;
pub mod training;
pub mod trials;
