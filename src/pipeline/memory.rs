//! What memory work needs, what there is, and what was used. Whether a training fits is said before it is begun, as a
//! row and not as a crash.

use crate::engine::{Network, NormMode, Wrt};

/// Bytes of the largest arena that passes in training mode take, by what they look for.
pub fn largest_arena(network: &mut Network, batch: usize, wants: &[Wrt]) -> usize {
    wants.iter().map(|wrt| network.arena_bytes(batch, *wrt, NormMode::Train)).max().unwrap_or(0)
}

/// Bytes that training a network takes: the arena of its largest pass, weights, momentum and gradient.
pub fn training_bytes(network: &mut Network, batch: usize) -> u64 {
    let vectors = 4 * network.layout().len() * size_of::<f32>();
    (largest_arena(network, batch, &[Wrt::PARAMS, Wrt::INPUT]) + vectors) as u64
}

/// The reason why a network's training does not fit, if it does not and the system tells.
pub fn shortage(network: &mut Network, batch: usize) -> Option<String> {
    let need = training_bytes(network, batch);
    let have = available()?;
    (need > have).then(|| {
        format!("training needs {} MiB, {} MiB of memory are available; lower retrain.batch", need >> 20, have >> 20)
    })
}

/// Bytes of memory that Linux believes can be had without swapping; `None` on other systems.
fn available() -> Option<u64> {
    told("/proc/meminfo", "MemAvailable:")
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
