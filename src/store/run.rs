//! A run folder: its description, opening and continuing it, and all writes into it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic;
use super::checkpoint::Checkpoints;
use super::event::{self, Event};
use super::journal::{self, Journal, Journaled};
use super::lock::{self, Lock};
use crate::arch::cost::RULE;
use crate::error::{Error, IoContext, Result};
use crate::record::Record;

/// The version of `run.json` and of the folder's layout.
pub const SCHEMA_VERSION: u32 = 1;

const RUN: &str = "run.json";
const CONFIG: &str = "config.toml";
const JOURNAL: &str = "journal.jsonl";
const LOCK: &str = "lock";
const CHECKPOINT: &str = "checkpoint";
const ARCHS: &str = "archs";

/// The description of a run, given when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAbout {
    /// The run's seed.
    pub seed: u64,
    /// The data source as on the command line.
    pub data: String,
    /// Content hash of the data set.
    pub data_id: String,
    /// The command line; for information, not compared.
    pub argv: Vec<String>,
}

/// The content of `run.json`. Two identical runs differ in `host` only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// The layout's version.
    pub schema_version: u32,
    /// The engine version that began the run.
    pub created_by_version: String,
    /// The run's seed.
    pub seed: u64,
    /// The data source.
    pub data: String,
    /// Content hash of the data set.
    pub data_id: String,
    /// The counting rule of the run.
    pub counting_rule: String,
    /// Where and how it was begun.
    pub host: Host,
}

/// Where and how a run was begun; for information.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The machine's name.
    pub name: String,
    /// Operating system and processor: `linux x86_64`.
    pub system: String,
    /// The command line.
    pub argv: Vec<String>,
}

/// The state of a folder when it was opened.
#[derive(Clone, Debug, PartialEq)]
pub enum Opened {
    /// Nothing: the run begins.
    New,
    /// An earlier part of the same run.
    Resumed {
        /// Its events in order.
        events: Vec<Event>,
        /// Problems that were found and repaired.
        warnings: Vec<String>,
    },
}

/// A run folder open for writing by this process alone.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    journal: Journal<Event>,
    _lock: Lock,
}

/// Names the settings in which a stored configuration (first) differs from the given one, both as TOML text.
pub type Differences<'a> = &'a dyn Fn(&str, &str) -> Result<Vec<String>>;

impl RunDir {
    /// Begins a run in an absent or empty folder, or continues the run that is there.
    ///
    /// `config` is the resolved configuration as TOML text.
    ///
    /// # Errors
    /// [`Error::Run`] for a folder that holds something else, is in use by another process, was written by a newer
    /// version, belongs to a run with another configuration, seed or data, or has a damaged journal.
    pub fn open(path: &Path, config: &str, about: RunAbout, differences: Differences<'_>) -> Result<(RunDir, Opened)> {
        refuse_foreign(path)?;
        atomic::create_folder(path)?;
        let lock = Lock::take(&path.join(LOCK))?;
        // Checked again: between the first check and the lock another process may have begun a run.
        refuse_foreign(path)?;
        atomic::sweep(path)?;
        for arch in atomic::names(&path.join(ARCHS))? {
            atomic::sweep(&path.join(ARCHS).join(arch))?;
        }
        let run = path.join(RUN);
        let resumed = run.exists();
        if resumed {
            check_same(path, config, &about, differences)?;
        } else {
            atomic::write(&path.join(CONFIG), config.as_bytes())?;
        }
        let (journal, Journaled { events, warning }) = Journal::open(&path.join(JOURNAL))?;
        if !resumed {
            // Last, so that a folder with a run.json is a complete one.
            atomic::write(&run, &to_json(&run, &RunFile::new(about))?)?;
        }
        let opened =
            if resumed { Opened::Resumed { events, warnings: warning.into_iter().collect() } } else { Opened::New };
        Ok((RunDir { path: path.to_owned(), journal, _lock: lock }, opened))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an event to the journal; it is on the disk when this returns.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append(&mut self, event: &Event) -> Result<()> {
        self.journal.append(event)
    }

    /// The run's checkpoints.
    ///
    /// # Errors
    /// As [`Checkpoints::open`].
    pub fn checkpoints(&self) -> Result<Checkpoints> {
        Checkpoints::open(&self.path.join(CHECKPOINT))
    }

    /// Writes the files of one architecture under `archs/<id>/`, replacing earlier ones of the same names.
    ///
    /// # Errors
    /// [`Error::Run`] for an id or a name that is not a plain file name; [`Error::Disk`] or [`Error::Io`], with earlier
    /// files unchanged.
    pub fn write_arch(&self, id: &str, files: &[(&str, &[u8])]) -> Result<()> {
        let folder = self.path.join(ARCHS).join(plain(&self.path, id)?);
        atomic::create_folder(&folder)?;
        files.iter().try_for_each(|(name, bytes)| atomic::write(&folder.join(plain(&self.path, name)?), bytes))
    }

    /// Writes a derived file (`ranked.json`, `frontier.svg`) at the top of the folder, replacing an earlier one.
    ///
    /// # Errors
    /// [`Error::Run`] for the name of a file that the run itself is made of.
    pub fn write_output(&self, name: &str, bytes: &[u8]) -> Result<()> {
        if [RUN, CONFIG, JOURNAL, LOCK, CHECKPOINT, ARCHS].contains(&name) {
            return Err(Error::run(&self.path, format!("`{name}` is part of the run and is not an output")));
        }
        atomic::write(&self.path.join(plain(&self.path, name)?), bytes)
    }
}

impl RunFile {
    fn new(about: RunAbout) -> Self {
        RunFile {
            schema_version: SCHEMA_VERSION,
            created_by_version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: about.seed,
            data: about.data,
            data_id: about.data_id,
            counting_rule: RULE.to_owned(),
            host: Host {
                name: lock::host(),
                system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
                argv: about.argv,
            },
        }
    }
}

/// The description of a run; read without a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// `run.json`.
    pub file: RunFile,
    /// `config.toml` as text.
    pub config: String,
}

/// Reads `run.json` and `config.toml`.
///
/// # Errors
/// [`Error::Run`] for a folder that is not a run or of a newer schema; [`Error::Io`] where a file cannot be read.
pub fn read_run(path: &Path) -> Result<Run> {
    let run = path.join(RUN);
    let text = match fs::read_to_string(&run) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::run(path, format!("not a run folder: there is no {RUN} in it")));
        }
        Err(e) => return Err(e).at(&run),
    };
    /// Read first, since a newer file need not have the rest.
    #[derive(Deserialize)]
    struct Version {
        schema_version: u32,
    }
    let damaged = |e: serde_json::Error| Error::run(&run, format!("damaged: {e}"));
    let Version { schema_version } = serde_json::from_str(&text).map_err(damaged)?;
    if schema_version > SCHEMA_VERSION {
        let ours = format!("this version of robustnas reads up to {SCHEMA_VERSION}");
        return Err(Error::run(&run, format!("the run has schema_version {schema_version}; {ours}; use a newer one")));
    }
    let file = serde_json::from_str(&text).map_err(damaged)?;
    let config = path.join(CONFIG);
    Ok(Run { file, config: fs::read_to_string(&config).at(&config)? })
}

/// Reads the journal's events; that of a running process may have an incomplete last line, which the warning reports.
///
/// # Errors
/// As [`read_run`]; [`Error::Run`] for a journal that is damaged before its last line.
pub fn read_events(path: &Path) -> Result<Journaled<Event>> {
    read_run(path)?;
    journal::read(&path.join(JOURNAL))
}

/// Reads the records made so far.
///
/// # Errors
/// As [`read_events`].
pub fn read_records(path: &Path) -> Result<Vec<Record>> {
    Ok(event::records(&read_events(path)?.events))
}

/// Refuses a folder with other files than those of a run or of a run that was interrupted while it was created.
fn refuse_foreign(path: &Path) -> Result<()> {
    if path.exists() && !path.is_dir() {
        return Err(Error::run(path, "is a file; a run needs a folder"));
    }
    let names = atomic::names(path)?;
    if names.iter().any(|n| n == RUN) {
        return Ok(());
    }
    let ours = |name: &&String| [LOCK, CONFIG, JOURNAL].contains(&name.as_str()) || atomic::is_temporary(name);
    if let Some(foreign) = names.iter().find(|n| !ours(n)) {
        let what = format!("the folder is not empty and not a run (it holds `{foreign}` but no {RUN})");
        return Err(Error::run(path, format!("{what}; choose another folder")));
    }
    let journal = path.join(JOURNAL);
    if journal.exists() && fs::metadata(&journal).at(&journal)?.len() > 0 {
        return Err(Error::run(path, format!("there is a journal but no {RUN}; restore it or choose another folder")));
    }
    Ok(())
}

/// Refuses to continue a run as another one.
fn check_same(path: &Path, config: &str, about: &RunAbout, differences: Differences<'_>) -> Result<()> {
    let stored = read_run(path)?;
    let mut changed = differences(&stored.config, config)?;
    for (name, was, is) in [
        ("seed", stored.file.seed.to_string(), about.seed.to_string()),
        ("data", stored.file.data.clone(), about.data.clone()),
        ("content of the data set", stored.file.data_id.clone(), about.data_id.clone()),
        ("counting rule", stored.file.counting_rule.clone(), RULE.to_owned()),
    ] {
        if was != is && !changed.iter().any(|c| c.starts_with(name)) {
            changed.push(format!("{name}: {was} -> {is}"));
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let what = format!("this folder holds a run with other settings:\n  {}\n", changed.join("\n  "));
    Err(Error::run(path, format!("{what}give the settings it was begun with, or choose another folder")))
}

/// A plain file name, without a path.
fn plain<'a>(run: &Path, name: &'a str) -> Result<&'a str> {
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0']);
    if plain { Ok(name) } else { Err(Error::run(run, format!("`{name}` is not a plain file name"))) }
}

fn to_json<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| Error::run(path, e.to_string()))?;
    text.push(b'\n');
    Ok(text)
}
