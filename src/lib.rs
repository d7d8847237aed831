//! # robustnas
//!
//! Neural architecture search for networks that stay accurate under adversarial attack.
//!
//! ```
//! use robustnas::arch::{cost::cost, op::Shape};
//!
//! // Any network is a value, a graph of operations, whatever it was made of; this one is of a family.
//! let net = robustnas::model::named("wrn:28-10", Shape::new(32, 32, 3), 10)?;
//! let cost = cost(&net);
//! println!("{} parameters, {} multiply-accumulates", cost.params, cost.macs);
//! # assert_eq!(cost.params.0, 36_479_194);
//! # Ok::<(), robustnas::error::Error>(())
//! ```
//!
//! `docs/library.md` names the ways into the library, `examples/` has short programs.
//!
//! ## The flow
//!
//! ```text
//! search_spaces/*.toml -> Config -> supernet Net -> two-stage search -> Genotype
//!   -> RobustScaling to each MAC budget -> Net -> adversarial training -> attacks -> Record
//!   -> ranking, frontier -> JSON, SVG
//! ```
//!
//! ## The layers: imports point down only (`tests/layering.rs` holds it)
//!
//! | layer | modules | must not know |
//! |---|---|---|
//! | words | [`units`], [`seed`], [`error`] | anything else |
//! | architectures as values | [`arch`] | candle, files, clock, threads |
//! | formats | [`onnx`] | candle, files |
//! | facts about runs | [`threat`], [`recipe`], [`record`], [`rank`], [`population`], [`study`], [`config`] | candle, files |
//! | tensors | [`engine`], [`loss`], [`data`] | attacks, training, results |
//! | a network by name | [`model`] | attacks, training, results |
//! | pressure and learning | [`attack`], [`train`] | spaces, genotypes, results |
//! | procedures | [`search`] | the store, the command line |
//! | edges | [`store`], [`report`], [`jobs`], [`bench`](mod@bench), [`cli`] | |
//!
//! ## Invariants (each is a test)
//!
//! 1. `arch`, `onnx`, `config`, `threat`, `record`, `rank`, `population`, `study`, `report` import no candle.
//! 2. Only `store` writes under `results/`.
//! 3. Randomness comes through `seed` alone.
//! 4. Normalisation is the network's layer 0: every caller passes pixels in `[0, 1]`.
//! 5. There is one training loop, [`train::fit`].
//! 6. A result is never edited; a record whose attack raised a check is kept and not ranked.
//! 7. Every operation: built shape = declared shape, counted cost = declared cost, gradients = finite differences.
//! 8. Every attack stays in the ball and the box, changes nothing at eps 0, gives the same bytes for the same seed, and
//!    leaves the running statistics alone.
//! 9. Every file in `search_spaces/` parses, resolves, round-trips and has a golden cost.
//! 10. Only `engine/device.rs` and `engine/cuda/` name CUDA; the default build needs none of it.

#![warn(missing_docs)]

pub mod arch;
pub mod attack;
pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod data;
pub mod engine;
pub mod error;
pub mod jobs;
pub mod loss;
pub mod model;
pub mod onnx;
pub mod population;
pub mod rank;
pub mod recipe;
pub mod record;
pub mod report;
pub mod search;
pub mod seed;
pub mod store;
pub mod study;
pub mod threat;
pub mod train;
pub mod units;
