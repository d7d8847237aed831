//! JSON Schemas of the published documents, generated from the types that write them.

use schemars::{Schema, schema_for};

use super::frontier::Frontier;
use super::ranked::Ranked;

/// The names [`schema`] knows.
pub const NAMES: [&str; 2] = ["ranked", "frontier"];

/// The schema of a document by name.
pub fn schema(name: &str) -> Option<Schema> {
    match name {
        "ranked" => Some(schema_for!(Ranked)),
        "frontier" => Some(schema_for!(Frontier)),
        _ => None,
    }
}
