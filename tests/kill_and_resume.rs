//! A search killed at random moments and restarted with the same command ends with the bytes of one that was left alone;
//! so do searches on one and on two threads.
//!
//! `ROBUSTNAS_KILLS` sets the number of kills (default 2; `make long` takes 20).

mod quick_search;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quick_search::{answer, finish, search};
use robustnas::seed::Seed;

#[test]
fn kills_and_threads_change_nothing() {
    let kills: u32 = std::env::var("ROBUSTNAS_KILLS").ok().and_then(|v| v.parse().ok()).unwrap_or(2);
    let folder = tempfile::tempdir().unwrap();
    // The folder's name is not part of the answer, but the picture's legend is the configuration's name.
    let (alone, single, killed) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("c"));

    let start = Instant::now();
    finish(search(&alone, "2").spawn().unwrap());
    let whole = start.elapsed();
    finish(search(&single, "1").spawn().unwrap());
    assert!(answer(&alone) == answer(&single), "one thread and two threads disagree");
    let ranked: serde_json::Value = serde_json::from_slice(&answer(&alone)[0]).unwrap();
    let entries = ranked["budgets"][0]["entries"].as_array().unwrap();
    assert!(entries.iter().any(|e| e["test"].is_object()), "no network was tested: {entries:?}");

    let mut random = Seed::root(u64::from(std::process::id())).stream();
    let mut done = 0;
    while done < kills {
        let mut child = search(&killed, "2").spawn().unwrap();
        // Spread over the whole search: a run gets a share of its time before it is killed.
        let share = 0.02 + 1.6 * f64::from(random.uniform()) / f64::from(kills);
        std::thread::sleep(whole.mul_f64(share).max(Duration::from_millis(20)));
        if child.try_wait().unwrap().is_some() {
            break; // it has ended: nothing is left to kill
        }
        child.kill().unwrap(); // SIGKILL: no handler runs
        child.wait().unwrap();
        done += 1;
    }
    assert!(done > 0, "the search ended before it could be killed once");
    finish(search(&killed, "2").spawn().unwrap());
    assert!(answer(&alone) == answer(&killed), "{done} kills changed the answer");
    println!("{done} kills over a search of {whole:?}: same bytes");
}

/// A terminal that goes away as well as a batch system's warning.
#[test]
#[cfg(unix)]
fn a_signal_saves_and_exits_75() {
    for signal in ["-USR1", "-HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        // HUP is ignored where tests are run by nohup, and a program that begins so goes on so.
        let plain = search(&out, "2");
        let mut command = Command::new("env");
        if cfg!(target_os = "linux") {
            command.arg("--default-signal=HUP");
        }
        command.arg(plain.get_program()).args(plain.get_args()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // However long a loaded machine takes; a run that ends before it saved is caught below.
        while !out.join("checkpoint").exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(status.success());
        assert_eq!(child.wait().unwrap().code(), Some(75), "{signal}");
        assert!(out.join("checkpoint").join("LATEST").exists(), "{signal}");
    }
}
