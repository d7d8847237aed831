//! JSON Schemas of the published documents, generated from the types that write them.

use schemars::{Schema, schema_for};

use super::attacked::AttackResultFile;
use super::evaluated::Evaluated;
use super::frontier::Frontier;
use super::population::PopulationReport;
use super::ranked::Ranked;
use crate::arch::file::ArchFile;

/// The names that [`schema`] accepts.
pub const NAMES: [&str; 6] = ["arch", "attack", "eval", "frontier", "population", "ranked"];

/// The schema of a document by name.
pub fn schema(name: &str) -> Option<Schema> {
    match name {
        "arch" => Some(schema_for!(ArchFile)),
        "attack" => Some(schema_for!(AttackResultFile)),
        "eval" => Some(schema_for!(Evaluated)),
        "ranked" => Some(schema_for!(Ranked)),
        "frontier" => Some(schema_for!(Frontier)),
        "population" => Some(schema_for!(PopulationReport)),
        _ => None,
    }
}
