//! `robustnas schema`.

use super::files;
use crate::error::{Error, Result};
use crate::report::schema::{NAMES, schema as schema_of};

/// Prints a JSON Schema.
pub fn schema(document: &str) -> Result<()> {
    let found = schema_of(document)
        .ok_or_else(|| Error::Usage(format!("no document is called `{document}`; known: {}", NAMES.join(", "))))?;
    files::print_json(&found)
}
