//! Files that the user names, and standard output.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, IoContext, Result};

/// A text file.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).at(path)
}

/// The bytes of a regular file: a device or a pipe may never end.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    let found = std::fs::metadata(path).at(path)?;
    if !found.is_file() {
        return Err(Error::data(path, "is no regular file; expected one"));
    }
    std::fs::read(path).at(path)
}

/// Writes a file that the user asked for, whole or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    crate::store::atomic::write(path, bytes)
}

/// Makes a folder that the user asked for, and those above it.
pub fn folder(path: &Path) -> Result<()> {
    crate::store::atomic::create_folder(path)
}

/// Prints a result; a closed pipe (`| head`) is not an error.
pub fn print(text: &str) -> Result<()> {
    print_on(text).map(drop)
}

/// Prints one of many results as it comes; whether anybody still reads (not so behind `| head`).
pub fn print_on(text: &str) -> Result<bool> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        other => other.at(Path::new("standard output")).map(|()| true),
    }
}

/// Prints a result as JSON.
pub fn print_json<T: Serialize>(value: &T) -> Result<()> {
    print(&(serde_json::to_string_pretty(value).map_err(unwritable)? + "\n"))
}

/// Prints one of many results as a line of JSON.
pub fn print_json_line<T: Serialize>(value: &T) -> Result<()> {
    print(&(serde_json::to_string(value).map_err(unwritable)? + "\n"))
}

/// The error of a value that cannot be written as JSON.
pub fn unwritable(e: serde_json::Error) -> Error {
    Error::Internal(format!("a result cannot be written as JSON: {e}"))
}
