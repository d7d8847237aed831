//! The search spaces that are part of the program, by name, so that they can be used from any folder.

use std::path::{Path, PathBuf};

use super::files;
use crate::error::{Error, Result, nearest};

/// Name, content.
const SPACES: [(&str, &str); 6] = [
    ("dsara-tiny", include_str!("../../search_spaces/dsara-tiny.toml")),
    ("dsara-small", include_str!("../../search_spaces/dsara-small.toml")),
    ("dsara-night", include_str!("../../search_spaces/dsara-night.toml")),
    ("dsara", include_str!("../../search_spaces/dsara.toml")),
    ("darts", include_str!("../../search_spaces/darts.toml")),
    ("nb201", include_str!("../../search_spaces/nb201.toml")),
];

/// The space of a search without arguments.
pub const DEFAULT: &str = SPACES[0].0;

/// The names, each with the first line of its comment.
pub fn list() -> impl Iterator<Item = (&'static str, &'static str)> {
    SPACES.into_iter().map(|(name, text)| (name, text.lines().next().unwrap_or_default().trim_start_matches("# ")))
}

/// A space's text and the path that errors name: of a file, or of a name where there is no such file.
///
/// # Errors
/// [`Error::Usage`] for what is neither, and for a folder; that of reading.
pub fn read(space: &Path) -> Result<(String, PathBuf)> {
    if space.is_dir() {
        let words = format!(
            "{}: is a folder; expected a space file. To go on with the run in it: search --continue {0}",
            space.display()
        );
        return Err(Error::Usage(words));
    }
    if space.exists() || space.extension().is_some() || space.components().count() > 1 {
        return Ok((files::read(space)?, space.to_owned()));
    }
    let name = space.to_string_lossy();
    match SPACES.iter().find(|(known, _)| *known == name) {
        Some((name, text)) => Ok(((*text).to_owned(), Path::new("search_spaces").join(format!("{name}.toml")))),
        None => {
            let names = SPACES.map(|(name, _)| name);
            let near = nearest(&name, names).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            Err(Error::Usage(format!("space `{name}`: {near}expected a file or one of {}", names.join(", "))))
        }
    }
}
