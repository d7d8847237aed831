//! The journal of a study by training.

use std::path::PathBuf;

use crate::error::Result;
use crate::report::searches::facts::{Compared, Line};
use crate::store::folder::Folder;

/// The journal of a study.
pub struct Log {
    /// The folder.
    pub out: PathBuf,
    /// Its lines so far.
    pub lines: Vec<Line>,
    /// What writes there.
    pub folder: Folder<Line>,
}

impl Log {
    /// Adds a line; it is on the disk when this returns.
    ///
    /// # Errors
    /// As [`Folder::append`].
    pub fn append(&mut self, line: Line) -> Result<()> {
        self.folder.append(&line)?;
        self.lines.push(line);
        Ok(())
    }

    /// Whether a network's training of this number is done.
    pub fn trained(&self, of: Compared, training: u32) -> bool {
        self.lines
            .iter()
            .any(|line| matches!(line, Line::Trained(known) if (known.of, known.training) == (of, training)))
    }
}
