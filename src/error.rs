//! What can go wrong. Messages name what was wrong, where, what was expected and what to do.

use std::path::{Path, PathBuf};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The exit code of a fault of the program itself.
pub const INTERNAL: u8 = 70;

/// The exit code of work that was stopped and can be continued.
pub const STOPPED: u8 = 75;

/// Every failure a user can meet, grouped by the exit code it ends the program with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Usage: exit 2.
    /// A command line, short form or option that does not parse.
    #[error("{0}")]
    Usage(String),

    // Files that describe something: exit 3.
    /// A space or configuration file: where and what.
    #[error("{}:{line}: {message}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// One-based line.
        line: usize,
        /// What was wrong and what was expected.
        message: String,
    },
    /// A data set, genotype or network file: the file, the byte (or row) and what was wrong.
    #[error("{}{}: {message}", path.display(), at.map(|a| format!(" at byte {a}")).unwrap_or_default())]
    Data {
        /// The file.
        path: PathBuf,
        /// Byte offset, where there is one.
        at: Option<u64>,
        /// What was wrong and what was expected.
        message: String,
    },
    /// A network whose nodes do not fit together: the text has the node, the operation and both shapes.
    #[error("{0}")]
    Net(String),

    // Run folders: exit 4.
    /// A run folder that cannot be used: locked, of another configuration, of a newer schema, damaged.
    #[error("{}: {message}", path.display())]
    Run {
        /// The folder or a file in it.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },

    // What cannot be done: exit 5.
    /// A request that no network or machine can meet (an impossible budget).
    #[error("{0}")]
    Impossible(String),

    // The world: exit 6.
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The disk is full or about to be.
    #[error("{}: {message}", path.display())]
    Disk {
        /// The folder.
        path: PathBuf,
        /// How much is free, how much is needed.
        message: String,
    },

    // Arithmetic: exit 7.
    /// A loss or gradient that is not a number.
    #[error("{0}")]
    NotFinite(String),
    /// The tensor library refused.
    #[error("tensor library: {0}")]
    Tensor(String),

    // A fault of the program: exit 70.
    /// Something that the program relies on does not hold. It ends the run, and no result is made of it.
    #[error(
        "internal error: {0}; please report it with the command and the versions that `run.json` or `--version` names"
    )]
    Internal(String),

    // Stopped early: exit 75.
    /// A signal asked the run to stop; everything up to now is saved.
    #[error("stopped by {signal}; the same command continues")]
    Stopped {
        /// The signal's name.
        signal: &'static str,
    },
}

impl Error {
    /// The program's exit code; the table in the README.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Config { .. } | Error::Data { .. } | Error::Net(_) => 3,
            Error::Run { .. } => 4,
            Error::Impossible(_) => 5,
            Error::Io { .. } | Error::Disk { .. } => 6,
            Error::NotFinite(_) | Error::Tensor(_) => 7,
            Error::Internal(_) => INTERNAL,
            Error::Stopped { .. } => STOPPED,
        }
    }

    /// A data error without an offset.
    pub fn data(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Error::Data { path: path.into(), at: None, message: message.into() }
    }

    /// A data error at a byte.
    pub fn data_at(path: impl Into<PathBuf>, at: u64, message: impl Into<String>) -> Self {
        Error::Data { path: path.into(), at: Some(at), message: message.into() }
    }

    /// [`Error::Net`] as [`Error::Data`] of the file that the network or its weights came from; any other error
    /// unchanged.
    pub fn of_file(self, path: impl Into<PathBuf>) -> Self {
        match self {
            Error::Net(message) => Error::data(path, message),
            other => other,
        }
    }

    /// A run-folder error.
    pub fn run(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Error::Run { path: path.into(), message: message.into() }
    }
}

/// The bytes of a file as text.
///
/// # Errors
/// [`Error::Data`] with the first byte that is not UTF-8.
pub fn utf8(bytes: Vec<u8>, path: &Path) -> Result<String> {
    String::from_utf8(bytes)
        .map_err(|why| Error::data_at(path, why.utf8_error().valid_up_to() as u64, "not UTF-8; expected a text file"))
}

/// Attaches a path to an I/O failure; a full disk becomes [`Error::Disk`].
pub trait IoContext<T> {
    /// Names the file or folder the operation was on.
    ///
    /// # Errors
    /// [`Error::Disk`] for a full disk or quota, else [`Error::Io`].
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Disk {
                path: path.to_owned(),
                message: "the disk is full; free some space and give the same command again".into(),
            },
            std::io::ErrorKind::FileTooLarge => Error::Disk {
                path: path.to_owned(),
                message:
                    "the file would be larger than the limit on files (ulimit -f); raise it and give the same command \
                          again"
                        .into(),
            },
            _ => Error::Io { path: path.to_owned(), source },
        })
    }
}

/// The known name nearest to a mistyped one, if any is near enough to suggest.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(typed, k), k))
        .filter(|(d, k)| *d <= 1 + k.len().max(typed.len()) / 3)
        .min()
        .map(|(_, k)| k)
}

/// The one-based line of a byte of a text.
pub fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|b| *b == b'\n').count()
}
