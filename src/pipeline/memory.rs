//! What memory there is and what was used, beside what work was found to need ([`Memory`]). Whether a training fits is said
//! before it is begun, as a row and not as a crash.

use crate::engine::Memory;

/// The reason why a network's training does not fit, if it does not and the system tells.
pub fn shortage(training: Memory) -> Option<String> {
    let need = training.total();
    let have = available()?;
    (need > have).then(|| {
        format!("training needs {} MiB, {} MiB of memory are available; lower retrain.batch", need >> 20, have >> 20)
    })
}

/// Bytes of memory that Linux believes can be had without swapping; `None` on other systems.
fn available() -> Option<u64> {
    told("/proc/meminfo", "MemAvailable:")
}

/// The resident size in bytes of this process, where Linux tells; `None` on other systems.
pub fn resident() -> Option<u64> {
    told("/proc/self/status", "VmRSS:")
}

/// The largest resident size in bytes that this process has had, where Linux tells; `None` on other systems.
pub fn peak_resident() -> Option<u64> {
    told("/proc/self/status", "VmHWM:")
}

/// An amount that Linux tells in kB.
fn told(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}
