//! A run folder: its description, opening and continuing it, and all writes into it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::atomic;
use super::checkpoint::Checkpoints;
use super::claim::Claim;
use super::event::Event;
use super::journal::{Files, Journal, Journaled};
use super::known::{ARCHS, CONFIG, JOURNAL, OUTPUTS, RUN, intact, lost, present};
use super::lock::Lock;
use super::process::host;
use super::tasks::{LEADER, Worker};
use crate::arch::cost::RULE;
use crate::error::{Error, IoContext, Result};

/// The version of `run.json` and of the folder's layout. From 2 on the journal says what every file holds.
pub const SCHEMA_VERSION: u32 = 2;

const LOCK: &str = "lock";
const CHECKPOINT: &str = "checkpoint";
/// What the folders of runs of several seeds are called, with the seed behind it.
const SEED: &str = "seed-";

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
    /// The vector instructions that the engine computes with; for information, not compared.
    pub instructions: String,
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
    /// What `--version` said: the version, the commit of a release build, and the features. Absent in older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The vector instructions that the engine computed with, since others round otherwise. Absent in older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
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
    claim: Arc<Claim>,
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
        let run = path.join(RUN);
        let stored = if run.exists() { Some(check_same(path, config, &about, differences)?) } else { None };
        if stored.is_none() {
            atomic::write(&path.join(CONFIG), config.as_bytes())?;
        }
        let (mut journal, journaled) = Journal::open(&path.join(JOURNAL), stored.is_none())?;
        let settings = stored.as_ref().map_or(config, |stored| &stored.config);
        let claim = Claim::new(lock, work(settings, about.seed, &about.data_id));
        claim.set_lines(journal.lines());
        let opened = match stored {
            Some(stored) => {
                lost(path, stored.file.schema_version, &journaled.files, &present(path)?)?;
                intact(path, &journaled.files, &stored.config)?;
                let Journaled { events, warning, .. } = journaled;
                Opened::Resumed { events, warnings: warning.into_iter().collect() }
            }
            None => {
                journal.append_file(CONFIG, config.as_bytes())?;
                claim.set_lines(journal.lines());
                // Last, so that a folder with a run.json is a complete one.
                atomic::write(&run, &to_json(&run, &RunFile::new(about))?)?;
                Opened::New
            }
        };
        Ok((RunDir { path: path.to_owned(), journal, claim: Arc::new(claim) }, opened))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an event to the journal; it is on the disk when this returns.
    ///
    /// # Errors
    /// As [`Journal::append`]; [`Error::Run`] where the folder was removed or replaced.
    pub fn append(&mut self, event: &Event) -> Result<()> {
        self.claim.check()?;
        self.journal.append(event)?;
        self.claim.set_lines(self.journal.lines());
        Ok(())
    }

    /// Names the work: what tasks of this run are told apart by from those of others.
    pub fn work(&self) -> String {
        self.claim.work().to_owned()
    }

    /// Makes this process the one that leads the run's workers: no other appends to the journal, also where the file system
    /// has no locks.
    ///
    /// # Errors
    /// [`Error::Run`] where another process leads it.
    pub fn lead(&self, worker: &Worker) -> Result<()> {
        match worker.claim(LEADER)? {
            Some(held) => {
                self.claim.lead(held);
                Ok(())
            }
            None => {
                let others: Vec<String> =
                    worker.others().iter().map(|w| format!("pid {} on {}", w.pid, w.host)).collect();
                let words = format!(
                    "another process leads this run (at work: {}); wait for it or stop it, or join it with robustnas work. \
                     One that was killed on another machine counts as gone after a minute",
                    others.join(", ")
                );
                Err(Error::run(&self.path, words))
            }
        }
    }

    /// What the run's files hold: names are `archs/<id>/arch.json`, `ranked.json`.
    pub fn files(&self) -> &Files {
        self.journal.files()
    }

    /// The content of a file of the run, if it is there and is what was written.
    pub fn whole(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path.join(name)).ok().filter(|bytes| self.files().holds(name, bytes))
    }

    /// The run's checkpoints.
    ///
    /// # Errors
    /// As [`Checkpoints::open`].
    pub fn checkpoints(&self) -> Result<Checkpoints> {
        Checkpoints::of(&self.path.join(CHECKPOINT), Arc::clone(&self.claim))
    }

    /// Writes the files of one architecture under `archs/<id>/`, replacing earlier ones of the same names, and their
    /// checksums into the journal.
    ///
    /// # Errors
    /// [`Error::Run`] for an id or a name that is not a plain file name, and where the folder was removed or replaced;
    /// [`Error::Disk`] or [`Error::Io`], with earlier files unchanged.
    pub fn write_arch(&mut self, id: &str, files: &[(&str, &[u8])]) -> Result<()> {
        let archs = self.path.join(ARCHS);
        let folder = archs.join(plain(&self.path, id)?);
        self.claim.check()?;
        atomic::create_inner(&archs)?;
        atomic::create_inner(&folder)?;
        for (name, bytes) in files {
            let name = format!("{ARCHS}/{id}/{}", plain(&self.path, name)?);
            self.claim.write(&mut self.journal, &self.path, &name, bytes)?;
        }
        Ok(())
    }

    /// Writes a derived file (`ranked.json`, `frontier.svg`) at the top of the folder, replacing an earlier one, and its
    /// checksum into the journal; but not that of a page that names the folder, which is another one in a copy of the run.
    ///
    /// # Errors
    /// [`Error::Run`] for the name of a file that the run itself is made of, and where the folder was removed or replaced.
    pub fn write_output(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        if [RUN, CONFIG, JOURNAL, LOCK, CHECKPOINT, ARCHS].contains(&name) {
            return Err(Error::run(&self.path, format!("`{name}` is part of the run and is not an output")));
        }
        let name = plain(&self.path, name)?;
        if OUTPUTS.contains(&name) {
            return self.claim.write(&mut self.journal, &self.path, name, bytes);
        }
        self.claim.check()?;
        atomic::write(&self.path.join(name), bytes)
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
                name: host(),
                system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
                argv: about.argv,
                build: Some(env!("ROBUSTNAS_VERSION").to_owned()),
                instructions: Some(about.instructions),
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
/// [`Error::Run`] for a folder that is not a run, of a newer schema or damaged; [`Error::Io`] where a file cannot be read.
pub fn read_run(path: &Path) -> Result<Run> {
    let run = path.join(RUN);
    let text = text_of(&run, || {
        let unfinished = path.join(CONFIG).exists() && path.join(LOCK).exists();
        let why = if unfinished { "the run was stopped while it began" } else { "not a run folder" };
        Error::run(path, format!("{why}: there is no {RUN} in it"))
    })?;
    /// Read first, since a newer file need not have the rest.
    #[derive(Deserialize)]
    struct Version {
        schema_version: u32,
    }
    let damaged =
        |e: serde_json::Error| Error::run(&run, format!("damaged: {e}; restore it from a copy or begin a new folder"));
    let Version { schema_version } = serde_json::from_str(&text).map_err(damaged)?;
    if schema_version > SCHEMA_VERSION {
        let ours = format!("this version of robustnas reads up to {SCHEMA_VERSION}");
        return Err(Error::run(&run, format!("the run has schema_version {schema_version}; {ours}; use a newer one")));
    }
    let file = serde_json::from_str(&text).map_err(damaged)?;
    let config = path.join(CONFIG);
    let missing = || Error::run(&config, "is missing; restore it from a copy or begin a new folder");
    let run = Run { file, config: text_of(&config, missing)? };
    let stated: Option<i64> = toml::from_str::<toml::Table>(&run.config).ok().and_then(|t| t.get("seed")?.as_integer());
    if stated.is_some_and(|seed| u64::try_from(seed).ok() != Some(run.file.seed)) {
        let words =
            format!("damaged: the seed is {} here and another in {CONFIG}; restore both from a copy", run.file.seed);
        return Err(Error::run(path.join(RUN), words));
    }
    Ok(run)
}

/// The text of a file that the run is made of; what cannot be one is damage of the run.
fn text_of(path: &Path, missing: impl Fn() -> Error) -> Result<String> {
    match fs::read(path) {
        Ok(bytes) => crate::error::utf8(bytes, path).map_err(|why| Error::run(path, format!("damaged: {why}"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(missing()),
        Err(_) if path.is_dir() => Err(Error::run(path, "is a folder; expected a file; restore it from a copy")),
        Err(e) => Err(e).at(path),
    }
}

/// Whether a folder is a run that has begun.
pub fn is_run(path: &Path) -> bool {
    path.join(RUN).exists()
}

impl Run {
    /// Names the work, as [`RunDir::work`].
    pub fn work(&self) -> String {
        work(&self.config, self.file.seed, &self.file.data_id)
    }
}

/// Names the work of a configuration, a seed and images under this version's counting rule.
fn work(config: &str, seed: u64, data_id: &str) -> String {
    Claim::name([config, &seed.to_string(), data_id, RULE])
}

/// The runs of a folder: itself, or those of several seeds in it (`seed-0`, `seed-1`, ..), in the order of their seeds; none
/// where it is neither.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be listed.
pub fn of_seeds(path: &Path) -> Result<Vec<PathBuf>> {
    if is_run(path) {
        return Ok(vec![path.to_owned()]);
    }
    let seed = |name: &String| Some((name.strip_prefix(SEED)?.parse::<u64>().ok()?, path.join(name)));
    let mut runs: Vec<(u64, PathBuf)> = atomic::names(path)?.iter().filter_map(seed).collect();
    runs.retain(|(_, run)| is_run(run));
    runs.sort();
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

/// Whether a folder is called as that of one of several seeds.
pub fn is_of_seed(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()?.strip_prefix(SEED)?.parse::<u64>().ok()).is_some()
}

/// The folder of a seed's run in that of several.
pub fn of_seed(path: &Path, seed: u64) -> PathBuf {
    path.join(format!("{SEED}{seed}"))
}

/// Whether a folder is one that a run may be about to begin in: it holds nothing but what a run writes first.
pub fn is_beginning(path: &Path) -> bool {
    path.is_dir() && !is_run(path) && refuse_foreign(path).is_ok()
}

/// Who works on a run, as they wrote it down; `None` where nobody does.
pub fn worker(path: &Path) -> Option<String> {
    Lock::holder(&path.join(LOCK))
}

/// Refuses a folder that no run can be begun or continued in, before data are read: one with other files, and one that
/// another process works in. Returns whether a run has begun there.
///
/// # Errors
/// [`Error::Run`] as [`RunDir::open`].
pub fn free_to_take(path: &Path) -> Result<bool> {
    refuse_foreign(path)?;
    let lock = path.join(LOCK);
    if lock.exists() {
        Lock::probe(&lock)?;
    }
    Ok(is_run(path))
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
    // The lock is the first file of a run: without one, a configuration is the user's own.
    let locked = names.iter().any(|n| n == LOCK);
    let ours = |name: &&String| {
        name.as_str() == LOCK || locked && [CONFIG, JOURNAL].contains(&name.as_str()) || atomic::is_temporary(name)
    };
    if let Some(foreign) = names.iter().find(|n| !ours(n)) {
        let what = format!("the folder is not empty and not a run (it holds `{foreign}` but no {RUN})");
        return Err(Error::run(path, format!("{what}; choose another folder")));
    }
    let journal = path.join(JOURNAL);
    // A beginning that was cut short has at most a line about its configuration.
    let lines =
        if journal.is_file() { fs::read(&journal).at(&journal)?.iter().filter(|b| **b == b'\n').count() } else { 0 };
    if lines > 1 {
        return Err(Error::run(path, format!("there is a journal but no {RUN}; restore it or choose another folder")));
    }
    Ok(())
}

/// The run that is there, unless it is another one. The same images may lie elsewhere: data are compared by their content.
fn check_same(path: &Path, config: &str, about: &RunAbout, differences: Differences<'_>) -> Result<Run> {
    let stored = read_run(path)?;
    let mut changed = differences(&stored.config, config)?;
    let same_data = stored.file.data_id == about.data_id;
    changed.retain(|change| !(same_data && change.starts_with("data: ")));
    for (name, was, is) in [
        ("seed", stored.file.seed.to_string(), about.seed.to_string()),
        ("content of the data set", stored.file.data_id.clone(), about.data_id.clone()),
        ("counting rule", stored.file.counting_rule.clone(), RULE.to_owned()),
    ] {
        if was != is && !changed.iter().any(|c| c.starts_with(name)) {
            changed.push(format!("{name}: {was} -> {is}"));
        }
    }
    if changed.is_empty() {
        return Ok(stored);
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
