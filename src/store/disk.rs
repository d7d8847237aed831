//! Free disk space, checked before hours of work instead of after them.

use std::path::Path;

use crate::error::{Error, IoContext, Result};

/// Refuses when the file system of `folder` has fewer than `bytes` bytes free for this user.
///
/// # Errors
/// [`Error::Disk`] with both numbers; [`Error::Io`] when the system cannot tell.
pub fn ensure_free(folder: &Path, bytes: u64) -> Result<()> {
    let free = fs4::available_space(folder).at(folder)?;
    if free >= bytes {
        return Ok(());
    }
    Err(Error::Disk {
        path: folder.to_owned(),
        message: format!(
            "{} free on this disk, about {} needed; free some space or choose another folder",
            size(free),
            size(bytes)
        ),
    })
}

/// Bytes in the largest binary unit in which they are at least one.
fn size(bytes: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        ensure_free(folder.path(), 1).unwrap();
        let error = ensure_free(folder.path(), u64::MAX).unwrap_err();
        assert!(matches!(error, Error::Disk { .. }));
        assert!(error.to_string().contains("17179869184.0 GiB needed"), "{error}");
    }

    #[test]
    fn sizes_read_well() {
        let shown: Vec<String> = [0, 1023, 1024, 5 << 20, 3 << 29].iter().map(|b| size(*b)).collect();
        assert_eq!(shown, ["0 bytes", "1023 bytes", "1.0 KiB", "5.0 MiB", "1.5 GiB"]);
    }
}
