//! Run folders; the only module that writes under `results/`.

pub mod atomic;
pub mod attack;
pub mod checkpoint;
pub mod disk;
pub mod event;
pub mod folder;
pub mod journal;
pub mod lock;
pub mod run;
