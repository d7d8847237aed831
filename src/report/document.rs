//! The JSON documents' version, their writer, and readers that accept unknown keys.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The version of every document this module writes.
pub const SCHEMA_VERSION: u32 = 1;

/// The `generator` of documents: program and version.
pub const GENERATOR: &str = concat!("robustnas ", env!("CARGO_PKG_VERSION"));

/// Pretty JSON with a final newline; the same value gives the same bytes.
pub(super) fn to_json<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::Internal(format!("{what} cannot be written as JSON: {e}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a document; `path` is what errors name.
pub(super) fn from_json<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    /// Read first, since a newer document need not have the rest.
    #[derive(Deserialize)]
    struct Version {
        schema_version: u32,
    }
    let bad = |e: serde_json::Error| Error::data(path, e.to_string());
    let Version { schema_version } = serde_json::from_slice(bytes).map_err(bad)?;
    if schema_version > SCHEMA_VERSION {
        let message = format!(
            "schema_version {schema_version}; this version of robustnas reads up to {SCHEMA_VERSION}; use a newer one"
        );
        return Err(Error::data(path, message));
    }
    serde_json::from_slice(bytes).map_err(bad)
}
