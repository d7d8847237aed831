//! The journal: one event a line, appended and flushed to the disk before the work goes on.
//!
//! A line is `{"crc":"89abcdef","seq":0,"event":{...}}`, or with `"file":{"name":..,"sha256":..}` in the event's place: what a
//! file of the folder holds. `crc` is the CRC-32 of everything after its comma.
//!
//! A process killed while it appends, or a power failure, leaves one damaged line at the end. That alone is repaired: the
//! next process to open the journal takes it out, since appending to it would turn it into damage in the middle. Where it has
//! its line break, so that it may once have been whole, its bytes are kept in `journal.damaged`. Any other damage is an error,
//! the same one for every reader, and the file is left as it is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::atomic;
use crate::error::{Error, IoContext, Result};

/// The content of a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Journaled<T> {
    /// The events in order.
    pub events: Vec<T>,
    /// What the folder's files hold.
    pub files: Files,
    /// Set when a damaged last line was found.
    pub warning: Option<String>,
}

/// What the files of a folder hold, as its journal says.
///
/// A file that is written again, because a process that was killed had not got far enough to know of it, passes through the
/// contents it had before; each of them is right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<String, Vec<String>>);

impl Files {
    /// Whether a file's content is one that was written under its name; true for a name that the journal does not know,
    /// as those of older versions.
    pub fn holds(&self, name: &str, bytes: &[u8]) -> bool {
        self.0.get(name).is_none_or(|sums| sums.contains(&sum(bytes)))
    }

    /// The names that the journal knows, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether the journal knows a file.
    pub fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn add(&mut self, line: FileLine) {
        self.0.entry(line.name).or_default().push(line.sha256);
    }
}

/// The SHA-256 of a file's content, in hexadecimal digits.
pub(super) fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// An open journal of events `T`. Open it only under the run's lock.
#[derive(Debug)]
pub struct Journal<T> {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
    seq: u64,
    files: Files,
    /// Whether bytes beyond `len` may exist, left by an append that failed.
    torn: bool,
    events: std::marker::PhantomData<fn(&T)>,
}

#[derive(Serialize, Deserialize)]
struct Body<T> {
    seq: u64,
    #[serde(flatten)]
    line: Line<T>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<T> {
    Event(T),
    File(FileLine),
}

/// What a file of the folder holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct FileLine {
    name: String,
    sha256: String,
}

/// Where the bytes of a damaged line are kept, beside the journal.
pub(super) const DAMAGED: &str = "journal.damaged";
const OPENING: &str = "{\"crc\":\"";
/// `{"crc":"`, eight digits, `",`.
const HEAD: usize = OPENING.len() + 10;

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens a journal, or begins one where the folder's work begins (`new`); takes out a damaged last line.
    ///
    /// # Errors
    /// [`Error::Run`] naming line and byte of damage that no single append leaves, or of a whole line that is not an event
    /// of this version; for a journal that is missing though the work has begun, and for one that is no regular file.
    pub fn open(path: &Path, new: bool) -> Result<(Journal<T>, Journaled<T>)> {
        let exists = regular(path)?;
        if !exists && !new {
            return Err(missing(path));
        }
        let file = File::options().append(true).create(!exists).open(path).at(path)?;
        if !exists {
            file.sync_all().at(path)?;
            atomic::sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        }
        let bytes = fs::read(path).at(path)?;
        let Scan { journaled, seq, len } = scan(path, &bytes)?;
        let damaged = &bytes[len..];
        if damaged.ends_with(b"\n") {
            keep(path, damaged)?;
        }
        let mut journal = Journal {
            path: path.to_owned(),
            file,
            len: len as u64,
            seq,
            files: journaled.files.clone(),
            torn: !damaged.is_empty(),
            events: std::marker::PhantomData,
        };
        journal.cut()?;
        Ok((journal, journaled))
    }

    /// Appends an event; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Io`]; what was written of the event is then cut off before the next append.
    /// [`Error::Run`] for an event that would not be read back as JSON (a float that is not a number).
    pub fn append(&mut self, event: &T) -> Result<()> {
        let unfit = |e: serde_json::Error| Error::run(&self.path, format!("event {} cannot be kept: {e}", self.seq));
        let body = serde_json::to_string(&Body { seq: self.seq, line: Line::Event(event) }).map_err(unfit)?;
        // A line that cannot be read back would make the whole run unreadable.
        serde_json::from_str::<Body<T>>(&body).map_err(unfit)?;
        self.append_line(&body)
    }

    /// Appends what a file of the folder holds, unless the journal knows it.
    ///
    /// # Errors
    /// Those of [`Journal::append`].
    pub fn append_file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        if self.files.knows(name) && self.files.holds(name, bytes) {
            return Ok(());
        }
        let line = FileLine { name: name.to_owned(), sha256: sum(bytes) };
        let body = serde_json::to_string(&Body { seq: self.seq, line: Line::<()>::File(line.clone()) });
        self.append_line(&body.map_err(|e| Error::run(&self.path, e.to_string()))?)?;
        self.files.add(line);
        Ok(())
    }

    /// What the folder's files hold.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Whole lines.
    pub fn lines(&self) -> u64 {
        self.seq
    }

    fn append_line(&mut self, body: &str) -> Result<()> {
        let rest = &body[1..];
        let line = format!("{OPENING}{:08x}\",{rest}\n", crc32fast::hash(rest.as_bytes()));
        self.cut()?;
        self.torn = true;
        self.file.write_all(line.as_bytes()).at(&self.path)?;
        self.file.sync_data().at(&self.path)?;
        self.torn = false;
        self.len += line.len() as u64;
        self.seq += 1;
        Ok(())
    }

    /// Removes bytes beyond the last whole line.
    fn cut(&mut self) -> Result<()> {
        if self.torn {
            self.file.set_len(self.len).at(&self.path)?;
            self.file.sync_all().at(&self.path)?;
            self.torn = false;
        }
        Ok(())
    }
}

/// Reads a journal without a lock and without changing it; another process may be appending.
///
/// # Errors
/// As [`Journal::open`].
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Journaled<T>> {
    if !regular(path)? {
        return Err(missing(path));
    }
    let bytes = fs::read(path).at(path)?;
    Ok(scan(path, &bytes)?.journaled)
}

/// Whether there is a journal. One that is a link is refused: what it points to is not the folder's own, and would be cut.
fn regular(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(_) => Err(Error::run(path, "is not a regular file; restore the journal from a copy or begin a new folder")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).at(path),
    }
}

fn missing(path: &Path) -> Error {
    let words = "is missing though the work here has begun, and it alone says what was done; restore it from a copy or begin \
                 a new folder";
    Error::run(path, words)
}

/// Keeps bytes that are taken out of a journal.
fn keep(path: &Path, damaged: &[u8]) -> Result<()> {
    let path = path.with_file_name(DAMAGED);
    let mut file = File::options().append(true).create(true).open(&path).at(&path)?;
    file.write_all(damaged).at(&path)?;
    file.sync_all().at(&path)
}

struct Scan<T> {
    journaled: Journaled<T>,
    /// Whole lines.
    seq: u64,
    /// Their bytes.
    len: usize,
}

fn scan<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Scan<T>> {
    let (mut events, mut files, mut seq, mut at) = (Vec::new(), Files::default(), 0, 0);
    let mut warning = None;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let number = seq + 1;
        let Some(rest) = checked(line) else {
            if !one_append(&bytes[at..], at == 0) {
                let why = "is damaged, and so is more than the end of the file that one append may leave; the journal \
                           cannot be trusted. Restore it from a copy or begin a new folder";
                return Err(Error::run(path, format!("line {number} at byte {at} {why}")));
            }
            let lost = bytes.len() - at;
            warning = Some(format!(
                "{}: the last {lost} bytes (line {number} at byte {at}) were not written whole and do not count; \
                 that step is done again",
                path.display()
            ));
            break;
        };
        let whole = [b"{", rest].concat();
        let body: Body<T> = serde_json::from_slice(&whole).map_err(|e| {
            let what = "is whole but not an event this version knows";
            Error::run(path, format!("line {number} at byte {at} {what}: {e}; use the version that began the run"))
        })?;
        if body.seq != seq {
            let message = format!(
                "line {number} at byte {at} has sequence number {}, expected {seq}: lines are missing or repeated. \
                 Restore the file from a copy or begin a new folder",
                body.seq,
            );
            return Err(Error::run(path, message));
        }
        match body.line {
            Line::Event(event) => events.push(event),
            Line::File(line) => files.add(line),
        }
        seq += 1;
        at += line.len();
    }
    Ok(Scan { journaled: Journaled { events, files, warning }, seq, len: at })
}

/// Whether bytes behind the last whole line may be what one append left: one line at most. After a power failure parts of it
/// may hold anything; but where nothing in the file is whole, it must at least begin as a line does.
fn one_append(tail: &[u8], is_all: bool) -> bool {
    let (line, opening) = (tail.strip_suffix(b"\n").unwrap_or(tail), OPENING.as_bytes());
    let begins = line.starts_with(opening) || opening.starts_with(line);
    let others = line.windows(opening.len()).skip(1).any(|w| w == opening);
    !line.contains(&b'\n') && !others && (begins || !is_all)
}

/// What follows the checksum in a line that is whole.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (head, rest) = line.split_at_checked(HEAD)?;
    let digits = head.strip_prefix(OPENING.as_bytes())?.strip_suffix(b"\",")?;
    let expected = format!("{:08x}", crc32fast::hash(rest));
    (digits == expected.as_bytes()).then_some(rest)
}
