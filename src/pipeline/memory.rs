//! Whether a network's training fits into memory: said before it is begun, as a row and not as a crash.

use crate::engine::{Network, NormMode, Wrt};

/// Bytes that training a network takes: the arena of its largest pass, weights, momentum and gradient.
pub fn training_bytes(network: &mut Network, batch: usize) -> u64 {
    let arena = [Wrt::PARAMS, Wrt::INPUT].map(|wrt| network.arena_bytes(batch, wrt, NormMode::Train)).into_iter().max();
    let vectors = 4 * network.layout().len() * size_of::<f32>();
    (arena.unwrap_or(0) + vectors) as u64
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
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}
