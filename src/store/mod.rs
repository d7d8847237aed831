//! Run folders; the only module that writes under `results/`.

pub mod atomic;
pub mod attack;
pub mod beat;
pub mod checkpoint;
mod claim;
pub mod disk;
pub mod event;
pub mod folder;
pub mod held;
pub mod history;
pub mod journal;
mod known;
pub mod lock;
mod process;
pub mod run;
pub mod scratch;
pub mod tasks;
