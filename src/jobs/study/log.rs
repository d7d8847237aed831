//! The journal of a study by training.

use std::path::PathBuf;

use crate::arch::genotype::Genotype;
use crate::error::Result;
use crate::jobs::strategy::Notes;
use crate::report::searches::facts::{Compared, Line, SearchId, history};
use crate::search::trial::{History, Phase, Spent, Trial, TrialLine};
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

    /// Whether a random network's proxies are known.
    pub fn foretold(&self, number: u32) -> bool {
        self.lines.iter().any(|line| matches!(line, Line::Foretold { network, .. } if *network == number))
    }
}

/// The lines of one search.
pub struct SearchLog<'a> {
    /// The journal.
    pub log: &'a mut Log,
    /// Which search.
    pub id: SearchId,
}

impl Notes for SearchLog<'_> {
    fn trials(&self, phase: Phase) -> Result<History<Genotype>> {
        history(&self.log.lines, self.id, phase)
    }

    fn keep(&mut self, phase: Phase, trial: &Trial<Genotype>) -> Result<()> {
        self.log.append(Line::Trial { of: self.id, trial: TrialLine::new(phase, trial) })
    }

    fn shared(&self) -> Option<Spent> {
        self.log.lines.iter().find_map(|line| match line {
            Line::Shared { of, spent } if *of == self.id => Some(*spent),
            _ => None,
        })
    }

    fn keep_shared(&mut self, spent: Spent) -> Result<()> {
        self.log.append(Line::Shared { of: self.id, spent })
    }

    fn is_scored(&self, number: u32) -> bool {
        let same =
            |line: &Line| matches!(line, Line::Inherited { of, network, .. } if (*of, *network) == (self.id, number));
        self.log.lines.iter().any(same)
    }

    fn keep_score(&mut self, number: u32, objective: Option<f64>) -> Result<()> {
        self.log.append(Line::Inherited { of: self.id, network: number, objective })
    }

    fn folder(&self) -> PathBuf {
        self.log.out.join("shared").join(format!("{}-{}", self.id.method.word(), self.id.search))
    }
}
