//! `robustnas data check`.

use super::files;
use crate::data::{Source, check};
use crate::error::Result;

/// Reads a whole data set.
pub fn check(data: &str, json: bool) -> Result<()> {
    let report = check::check(&Source::parse(data)?)?;
    if json { files::print_json(&report) } else { files::print(&report.to_string()) }
}
