//! A run that several processes work at has the bytes of one that one process made, whichever of them die.

mod quick_search;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use quick_search::{answer, finish, search};
use robustnas::seed::Seed;

/// A process that joins a run. One that is frozen counts as lost after two seconds.
fn work(run: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    command.args(["work", "--threads", "1", "--checkpoint-every", "0.1", "--lost-after", "2"]).arg(run);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// The answer and the journal; nothing of the workers is left.
fn left(run: &Path) -> Vec<Vec<u8>> {
    for gone in ["tasks", "workers", "progress.json"] {
        assert!(!run.join(gone).exists(), "{gone} is left");
    }
    let mut files = answer(run);
    files.push(std::fs::read(run.join("journal.jsonl")).unwrap());
    files
}

/// What a run leaves that one process made.
fn expected() -> &'static [Vec<u8>] {
    static LEFT: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    LEFT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("alone");
        finish(search(&run, "1").spawn().unwrap());
        left(&run)
    })
}

/// Begins a run without doing anything in it.
fn begin(run: &Path) {
    finish(search(run, "1").arg("--begin").spawn().unwrap());
    assert!(run.join("run.json").exists() && !run.join("ranked.json").exists());
}

/// Begins the process that leads a run.
fn lead(run: &Path) -> Child {
    begin(run);
    let leader = search(run, "1").spawn().unwrap();
    let named = format!("pid {} on", leader.id());
    // Its claim is made behind its lock.
    let leads = || std::fs::read_to_string(run.join("lock")).is_ok_and(|text| text.starts_with(&named));
    while !leads() || !run.join("tasks/leader/claim-1").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    leader
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Waits until there is a claim on a training that `than` does not name; its worker's process.
fn claimed(run: &Path, child: &mut Child) -> bool {
    let mine = format!("-{}-", child.id());
    let named = |task: &std::fs::DirEntry| {
        let claims = std::fs::read_dir(task.path()).unwrap().flatten();
        let mut claims = claims.filter(|file| file.file_name().to_string_lossy().starts_with("claim-"));
        task.file_name().to_string_lossy().starts_with("train-")
            && claims.any(|file| std::fs::read_to_string(file.path()).unwrap_or_default().contains(&mine))
            && task.path().join("checkpoint/LATEST").exists()
    };
    while !std::fs::read_dir(run.join("tasks")).is_ok_and(|tasks| tasks.flatten().any(|task| named(&task))) {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

#[test]
#[cfg(unix)]
fn workers_and_their_deaths_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    finish(search(&at("two"), "2").args(["--workers", "2"]).spawn().unwrap());
    assert!(left(&at("two")) == expected(), "two workers changed the answer");

    // One joins, and is killed in the middle of a training; another goes on with it.
    let run = at("killed");
    let leader = lead(&run);
    let mut killed = work(&run).spawn().unwrap();
    assert!(claimed(&run, &mut killed), "the run ended before its second worker had a task");
    killed.kill().unwrap();
    killed.wait().unwrap();
    finish(work(&run).spawn().unwrap());
    finish(leader);
    assert!(left(&run) == expected(), "a killed worker changed the answer");
}

/// The leader is killed, and whoever helped it leads. Then one is frozen in a training until that is taken over; awake again it
/// leaves the training and goes on with others.
#[test]
#[cfg(unix)]
fn a_run_is_led_by_whoever_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut leader = lead(&run);
    let mut helper = work(&run).spawn().unwrap();
    assert!(claimed(&run, &mut helper), "the run ended before its second worker had a task");
    leader.kill().unwrap();
    leader.wait().unwrap();
    signal(&helper, "-STOP");
    finish(work(&run).spawn().unwrap());
    signal(&helper, "-CONT");
    finish(helper);
    assert!(left(&run) == expected(), "a killed leader or a frozen worker changed the answer");
}

/// A library that takes the place of the system's `flock` and says what a file system without locks says.
#[cfg(target_os = "linux")]
fn without_locks(folder: &Path) -> std::path::PathBuf {
    let (source, library) = (folder.join("locks.c"), folder.join("locks.so"));
    let text = "#include <errno.h>\nint flock(int file, int how) { errno = ENOSYS; return -1; }\n";
    std::fs::write(&source, text).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    assert!(built.expect("cc, by which Rust links").success());
    library
}

/// On a file system without locks a run has one leader all the same, and another where that one is killed.
#[test]
#[cfg(target_os = "linux")]
fn no_locks_of_the_file_system_are_needed() {
    let folder = tempfile::tempdir().unwrap();
    let (run, library) = (folder.path().join("run"), without_locks(folder.path()));
    let bare = |mut command: Command| {
        command.env("LD_PRELOAD", &library);
        command
    };
    finish(bare(search(&run, "1")).arg("--begin").spawn().unwrap());
    assert_eq!(std::fs::read_to_string(run.join("lock")).unwrap(), "nobody\n", "the lock is none of the file system's");
    let mut leader = bare(search(&run, "1")).spawn().unwrap();
    while !run.join("tasks/leader/claim-1").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    // Frozen, so that it is there as long as it is asked for.
    signal(&leader, "-STOP");
    let refused = bare(search(&run, "1")).output().unwrap();
    let words = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{words}");
    assert!(words.contains(&format!("another process (pid {} on", leader.id())), "{words}");
    signal(&leader, "-CONT");
    let mut helper = bare(work(&run)).spawn().unwrap();
    assert!(claimed(&run, &mut helper), "the run ended before its second worker had a task");
    leader.kill().unwrap();
    leader.wait().unwrap();
    finish(helper);
    assert!(left(&run) == expected(), "a run without locks has another answer");
}

/// Processes join and are killed at random moments, until one is let alone.
#[test]
#[ignore = "takes minutes: make long"]
fn kills_of_workers_change_nothing() {
    let kills: u32 = std::env::var("ROBUSTNAS_KILLS").ok().and_then(|v| v.parse().ok()).unwrap_or(20);
    let folder = tempfile::tempdir().unwrap();
    let (run, four) = (folder.path().join("run"), folder.path().join("four"));
    finish(search(&four, "4").args(["--workers", "4"]).spawn().unwrap());
    let begun = Instant::now();
    assert!(left(&four) == expected(), "four workers changed the answer");
    // Long enough that kills fall everywhere, where another test made the run and this one waited for nothing.
    let whole = begun.elapsed().max(Duration::from_secs(5));
    begin(&run);
    let mut random = Seed::root(u64::from(std::process::id())).stream();
    let mut workers: Vec<Child> = (0..2).map(|_| work(&run).spawn().unwrap()).collect();
    for kill in 0..kills {
        std::thread::sleep(whole.mul_f64(2.0 * f64::from(random.uniform()) / f64::from(kills)));
        let one = &mut workers[kill as usize % 2];
        one.kill().unwrap();
        one.wait().unwrap();
        *one = work(&run).spawn().unwrap();
    }
    workers.into_iter().for_each(finish);
    assert!(left(&run) == expected(), "{kills} kills changed the answer");
}

/// What a worker of another version says of itself, on a machine that is not seen from here.
const OTHER_VERSION: &str =
    r#"{"host": "elsewhere", "pid": 7, "system": null, "version": "0.0.1", "instructions": "AVX2"}"#;

#[test]
#[cfg(unix)]
fn another_version_is_refused_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let leader = lead(&run);
    // Frozen, so that the run is not over before it is joined.
    signal(&leader, "-STOP");
    let other = run.join("workers/elsewhere-7-00000000");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("beat.json"), OTHER_VERSION).unwrap();
    let refused = work(&run).output().unwrap();
    let words = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{words}");
    assert!(words.contains("robustnas 0.0.1 works at this run (pid 7 on elsewhere)"), "{words}");
    assert!(words.contains("join it with that version"), "{words}");
    std::fs::remove_dir_all(&other).unwrap();
    signal(&leader, "-CONT");
    finish(leader);
    assert!(left(&run) == expected(), "a refused worker changed the answer");
}

/// A worker under a limit of the shell's `ulimit`.
fn confined(limit: &str, run: &Path) -> Command {
    let plain = work(run);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh"]);
    command.arg(plain.get_program()).args(plain.get_args()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A node whose disk takes no more ends with the reason, one with too little memory leaves trainings to others, and the run
/// goes on without either.
#[test]
#[cfg(target_os = "linux")]
fn a_node_without_room_or_memory_does_not_fail_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let leader = lead(&run);
    // No file of more than 2 KiB: claims can be written, states of a training cannot.
    let full = confined("-f 4", &run).output().unwrap();
    let words = String::from_utf8_lossy(&full.stderr);
    assert_eq!(full.status.code(), Some(6), "{words}");
    assert!(words.contains("tasks/train-"), "{words}");
    let small = confined("-d 30000", &run).output().unwrap();
    let words = String::from_utf8_lossy(&small.stderr);
    assert_eq!(small.status.code(), Some(0), "{words}");
    assert!(words.contains("is left to others: evaluation in batches") && words.contains("Max data size"), "{words}");
    finish(leader);
    assert!(left(&run) == expected(), "nodes without room changed the answer");
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_robustnas")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, words) = said(&["work", &folder.path().display().to_string()]);
    assert_eq!(code, Some(4), "{words}");
    assert!(words.contains("not a run folder"), "{words}");

    // A machine without Slurm.
    let run = folder.path().join("run");
    begin(&run);
    let mut submit = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    let output = submit.arg("submit").arg(&run).env("PATH", folder.path()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("sbatch cannot be run") && words.contains("--print"), "{words}");
}
