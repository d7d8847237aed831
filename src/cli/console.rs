//! What is said on standard error. Where it goes away (a closed terminal, a full disk) the work goes on.

use std::io::{IsTerminal, Write};
use std::path::Path;

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Console {
    /// Warnings and errors.
    Quiet,
    /// Also what was done, and now and then how far it is.
    #[default]
    Usual,
    /// Every step.
    Verbose,
}

impl Console {
    /// Says what was done.
    pub fn note(self, text: &str) {
        match self {
            Console::Quiet => {}
            Console::Usual | Console::Verbose => say(text),
        }
    }

    /// Says that a file is written.
    pub fn wrote(self, path: &Path) {
        self.note(&format!("{} is written", path.display()));
    }

    /// Says what should be known.
    pub fn warn(self, text: &str) {
        say(&format!("warning: {text}"));
    }
}

/// A line on standard error, if it takes one.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The narrowest terminal that tables are fitted into.
const NARROWEST: usize = 40;

/// Characters of a line of standard output where that is a terminal; `None` elsewhere, where nothing is cut.
pub fn width() -> Option<usize> {
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    let asked = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let width = std::io::stdout().is_terminal().then(|| asked().or_else(told)).flatten();
    width.map(|width: usize| width.max(NARROWEST))
}
