//! The journal: one event a line, appended and flushed to the disk before the work goes on.
//!
//! A line is `{"crc":"89abcdef","seq":0,"event":{...}}`; `crc` is the CRC-32 of everything after its comma. A process
//! killed while it appends leaves an incomplete last line; the next one to open the journal removes it, since
//! appending to it would turn it into damage in the middle. Damage in the middle is never repaired silently.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::atomic;
use crate::error::{Error, IoContext, Result};

/// The content of a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Journaled<T> {
    /// The events in order.
    pub events: Vec<T>,
    /// Set when an incomplete last line was found.
    pub warning: Option<String>,
}

/// An open journal of events `T`. Open it only under the run's lock.
#[derive(Debug)]
pub struct Journal<T> {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
    seq: u64,
    /// Whether bytes beyond `len` may exist, left by an append that failed.
    torn: bool,
    events: std::marker::PhantomData<fn(&T)>,
}

#[derive(Serialize, Deserialize)]
struct Body<T> {
    seq: u64,
    event: T,
}

const OPENING: &str = "{\"crc\":\"";
/// `{"crc":"`, eight digits, `",`.
const HEAD: usize = OPENING.len() + 10;

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens a journal, creating it when absent; removes an incomplete last line.
    ///
    /// # Errors
    /// [`Error::Run`] naming line and byte where a damaged line has whole ones after it, or where a whole line is
    /// not an event of this version.
    pub fn open(path: &Path) -> Result<(Journal<T>, Journaled<T>)> {
        let new = !path.exists();
        let file = File::options().append(true).create(true).open(path).at(path)?;
        if new {
            file.sync_all().at(path)?;
            atomic::sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        }
        let bytes = fs::read(path).at(path)?;
        let (journaled, len) = scan(path, &bytes)?;
        let mut journal = Journal {
            path: path.to_owned(),
            file,
            len,
            seq: journaled.events.len() as u64,
            torn: len < bytes.len() as u64,
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
        let body = serde_json::to_string(&Body { seq: self.seq, event }).map_err(unfit)?;
        // A line that cannot be read back would make the whole run unreadable.
        serde_json::from_str::<Body<T>>(&body).map_err(unfit)?;
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
    let bytes = fs::read(path).at(path)?;
    Ok(scan(path, &bytes)?.0)
}

/// The events and the length of the whole lines.
fn scan<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<(Journaled<T>, u64)> {
    let mut events = Vec::new();
    let mut at = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let number = events.len() + 1;
        let Some(rest) = checked(line) else {
            // An append writes one line, so only the last may be torn.
            if bytes[at + line.len()..].split_inclusive(|b| *b == b'\n').any(|l| checked(l).is_some()) {
                return Err(Error::run(
                    path,
                    format!(
                        "line {number} at byte {at} is damaged and whole lines follow it; the run cannot be trusted. \
                         Restore the file from a copy or begin a new folder"
                    ),
                ));
            }
            let lost = bytes.len() - at;
            let warning = format!(
                "{}: the last {lost} bytes (line {number} at byte {at}) were not written whole and do not count; \
                 that step is done again",
                path.display()
            );
            return Ok((Journaled { events, warning: Some(warning) }, at as u64));
        };
        let whole = [b"{", rest].concat();
        let body: Body<T> = serde_json::from_slice(&whole).map_err(|e| {
            let what = "is whole but not an event this version knows";
            Error::run(path, format!("line {number} at byte {at} {what}: {e}; use the version that began the run"))
        })?;
        if body.seq != events.len() as u64 {
            let message = format!(
                "line {number} at byte {at} has sequence number {}, expected {}: lines are missing or repeated. \
                 Restore the file from a copy or begin a new folder",
                body.seq,
                events.len()
            );
            return Err(Error::run(path, message));
        }
        events.push(body.event);
        at += line.len();
    }
    Ok((Journaled { events, warning: None }, at as u64))
}

/// What follows the checksum in a line that is whole.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (head, rest) = line.split_at_checked(HEAD)?;
    let digits = head.strip_prefix(OPENING.as_bytes())?.strip_suffix(b"\",")?;
    let expected = format!("{:08x}", crc32fast::hash(rest));
    (digits == expected.as_bytes()).then_some(rest)
}
