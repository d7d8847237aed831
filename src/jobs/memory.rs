//! What memory there is and what was used, beside what work was found to need ([`Memory`]). Whether a training fits is known
//! before it is begun, as a row and not as a crash.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::arch::net::Net;
use crate::config::Evaluate;
use crate::engine::{Cpu, Fusion, Memory};
use crate::error::Result;
use crate::jobs::measure;
use crate::recipe::Recipe;
use crate::train::trainee::Trainee;

/// What a network needs to be trained by a recipe, and then to be measured.
pub struct Needs {
    training: Memory,
    evaluation: Memory,
}

impl Needs {
    /// Of a network in single precision.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] as a plan's.
    pub fn of(net: &Net, recipe: &Recipe, evaluate: &Evaluate) -> Result<Needs> {
        let evaluation = Memory::of(net, &measure::work(evaluate.batch), Fusion::ALL, &Cpu::widest())?;
        Ok(Needs { training: Trainee::memory_of(net, recipe)?, evaluation })
    }

    /// The larger of both in bytes.
    pub fn most(&self) -> u64 {
        self.training.total().max(self.evaluation.total())
    }

    /// The reason why the network cannot be trained and measured here, if it cannot.
    pub fn shortage(&self) -> Option<String> {
        shortage(self.training, "training").or_else(|| self.shortage_of_evaluation())
    }

    /// The same of measuring it alone.
    pub fn shortage_of_evaluation(&self) -> Option<String> {
        shortage(self.evaluation, "evaluation in batches of evaluate.batch")
    }
}

/// The reason why some work (`training`) does not fit, if it does not and the system tells.
pub fn shortage(need: Memory, what: &str) -> Option<String> {
    let need = need.total();
    let Room { bytes, limit } = room(Path::new("/"))?;
    (need > bytes).then(|| {
        let (need, bytes) = (need.div_ceil(1 << 20), bytes >> 20);
        format!("{what} needs {need} MiB, {bytes} MiB of memory are available ({limit})")
    })
}

/// Memory that can be had, and what bounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Room {
    bytes: u64,
    limit: Limit,
}

/// What bounds the memory of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Limit {
    Host,
    /// A control group, as batch systems and containers set; the kernel ends a process that asks for more.
    Group(PathBuf),
    /// `ulimit -v` or `-d`: the system refuses a process that asks for more.
    Process(&'static str),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Host => f.write_str("of the machine"),
            Limit::Process(name) => write!(f, "by the limit `{name}` of the process (ulimit)"),
            Limit::Group(path) => write!(f, "by the limit of the control group {}", path.display()),
        }
    }
}

/// The least room that anything leaves: the host without swapping, and every control group that this process is in. `None`
/// where neither tells, as on other systems than Linux. `root` is where `proc` and `sys` are.
fn room(root: &Path) -> Option<Room> {
    let host = told(&root.join("proc/meminfo"), "MemAvailable:").map(|bytes| Room { bytes, limit: Limit::Host });
    // A control group comes first where both leave the same.
    groups(root).into_iter().chain(process(root)).chain(host).min_by_key(|room| room.bytes)
}

/// What the limits of this process leave.
fn process(root: &Path) -> Vec<Room> {
    let text = std::fs::read_to_string(root.join("proc/self/limits")).unwrap_or_default();
    let of = |(name, used): (&'static str, &str)| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
        let used = told(&root.join("proc/self/status"), used)?;
        Some(Room { bytes: limit.saturating_sub(used), limit: Limit::Process(name) })
    };
    [("Max address space", "VmSize:"), ("Max data size", "VmData:")].into_iter().filter_map(of).collect()
}

/// One generation of control groups: the files of its limit and usage, and what it calls pages of files that can be given
/// up, which count as used.
struct Layout {
    folder: &'static str,
    limit: &'static str,
    used: &'static str,
    cache: &'static str,
}

const FIRST: Layout = Layout {
    folder: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cache: "total_inactive_file",
};
const SECOND: Layout =
    Layout { folder: "sys/fs/cgroup", limit: "memory.max", used: "memory.current", cache: "inactive_file" };

/// What each control group with a limit leaves, from the one that this process is in up to the root.
///
/// A container may show its own group as the root, under a path that only the host knows; the root is looked at in any case.
fn groups(root: &Path) -> Vec<Room> {
    let text = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut found = Vec::new();
    for line in text.lines() {
        // `0::/path` of the second generation, `7:memory:/path` of the first, maybe with other controllers.
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let layout = match (number, controllers) {
            ("0", "") => &SECOND,
            (_, list) if list.split(',').any(|c| c == "memory") => &FIRST,
            _ => continue,
        };
        for group in Path::new(path).ancestors() {
            let Ok(inner) = group.strip_prefix("/") else { continue };
            found.extend(layout.room(&root.join(layout.folder).join(inner), group));
        }
    }
    found
}

impl Layout {
    /// What a control group leaves; `None` without a limit (`max`, or a number that no machine has).
    fn room(&self, folder: &Path, group: &Path) -> Option<Room> {
        let number = |name: &str| -> Option<u64> {
            std::fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok().filter(|n| *n < 1 << 60)
        };
        let (limit, used) = (number(self.limit)?, number(self.used)?);
        let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let cache = stat.lines().find_map(|l| l.strip_prefix(self.cache)?.strip_prefix(' ')?.trim().parse().ok());
        let bytes = limit.saturating_sub(used.saturating_sub(cache.unwrap_or(0)));
        Some(Room { bytes, limit: Limit::Group(group.to_owned()) })
    }
}

/// The resident size in bytes of this process, where Linux tells; `None` on other systems.
pub fn resident() -> Option<u64> {
    told(Path::new("/proc/self/status"), "VmRSS:")
}

/// The largest resident size in bytes that this process has had, where Linux tells; `None` on other systems.
pub fn peak_resident() -> Option<u64> {
    told(Path::new("/proc/self/status"), "VmHWM:")
}

/// An amount that Linux tells in kB.
fn told(file: &Path, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A machine with 8 GiB to be had, and these files.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let host = ("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable:    8388608 kB\n");
        for (path, text) in files.iter().chain([&host]) {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn found(files: &[(&str, &str)]) -> (u64, String) {
        let Room { bytes, limit } = room(machine(files).path()).unwrap();
        (bytes / MIB, limit.to_string())
    }

    #[test]
    fn the_host_alone_tells_where_no_group_has_a_limit() {
        let host = (8192, "of the machine".to_owned());
        assert_eq!(found(&[]), host);
        let none = [("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/memory.max", "max\n")];
        assert_eq!(found(&none), host);
        let first = [
            ("proc/self/cgroup", "3:cpu,memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1048576\n"),
        ];
        assert_eq!(found(&first), host);
        assert_eq!(room(tempfile::tempdir().unwrap().path()), None);
    }

    /// 300 MiB of 1 GiB are used, of which 100 are pages of files; the group above has less room.
    #[test]
    fn the_narrowest_group_counts_before_the_host() {
        let (max, used, cache) = ("1073741824\n", "314572800\n", "anon 1\ninactive_file 104857600\n");
        let group = [
            ("proc/self/cgroup", "0::/slurm/job_7\n"),
            ("sys/fs/cgroup/slurm/job_7/memory.max", max),
            ("sys/fs/cgroup/slurm/job_7/memory.current", used),
            ("sys/fs/cgroup/slurm/job_7/memory.stat", cache),
        ];
        assert_eq!(found(&group), (824, "by the limit of the control group /slurm/job_7".to_owned()));
        let above = [("sys/fs/cgroup/slurm/memory.max", max), ("sys/fs/cgroup/slurm/memory.current", max)];
        assert_eq!(found(&[&group[..], &above].concat()), (0, "by the limit of the control group /slurm".to_owned()));
    }

    /// 64 of 256 MiB of addresses are taken.
    #[test]
    fn the_limits_of_a_process_count() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max data size             unlimited            unlimited            bytes\n\
                      Max address space         268435456            unlimited            bytes\n";
        let files = [("proc/self/limits", limits), ("proc/self/status", "VmSize:\t65536 kB\nVmData:\t1 kB\n")];
        let words = "by the limit `Max address space` of the process (ulimit)".to_owned();
        assert_eq!(found(&files), (192, words));
    }

    /// A container of the first generation sees its own files at the root, not at the path that the host has for it.
    #[test]
    fn a_container_s_group_is_found_at_the_root() {
        let group = [
            ("proc/self/cgroup", "11:memory:/docker/abc\n1:name=systemd:/docker/abc\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "104857600\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 52428800\n"),
        ];
        assert_eq!(found(&group), (462, "by the limit of the control group /".to_owned()));
    }
}
