//! Which process is meant, and whether it is seen from here.

use std::fs;
use std::path::Path;

/// A process of some machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// The machine's name.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// The system and the numbering of processes in which `pid` names it, where Linux tells.
    pub system: Option<String>,
}

impl Process {
    /// This one.
    pub fn this() -> Process {
        Process { host: host(), pid: std::process::id(), system: numbering() }
    }

    /// Whether it exists; `None` where that cannot be seen from here.
    pub fn exists(&self) -> Option<bool> {
        let seen = self.host == host() && self.system.is_some() && self.system == numbering();
        seen.then(|| Path::new("/proc").join(self.pid.to_string()).exists())
    }
}

/// The machine's name, where the system has one; for messages only.
pub(super) fn host() -> String {
    let from_file = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = from_file().or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Names the system that has been running since its last start, and the numbering of its processes: in the same, a process
/// that is not seen is not there.
fn numbering() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), numbers.display()))
}
