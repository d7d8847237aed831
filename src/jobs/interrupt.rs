//! Signals: the first asks for a checkpoint and a clean end, and is answered at once; a second interrupt from the keyboard ends
//! the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::{Error, Result};

/// Exit code of a second Ctrl-C.
#[cfg(feature = "cli")]
const KILLED_FROM_KEYBOARD: i32 = 130;

/// Whether, and by what, the run was asked to stop. The work looks at it between steps.
#[derive(Default)]
pub struct Interrupt {
    flags: Vec<(&'static str, Arc<AtomicBool>)>,
    idle: Arc<AtomicUsize>,
}

/// While it lives there is nothing to save, and a signal ends the process at once.
#[must_use = "a signal is answered at once while this lives"]
pub struct Idle(Arc<AtomicUsize>);

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Interrupt {
    /// One that never comes.
    pub fn never() -> Self {
        Interrupt::default()
    }

    /// One that comes when `flag` is set; the error then names `signal`.
    pub fn when(signal: &'static str, flag: Arc<AtomicBool>) -> Self {
        Interrupt { flags: vec![(signal, flag)], ..Interrupt::default() }
    }

    /// Listens to TERM, INT, HUP, USR1 and USR2 from here on; to a signal that the process was begun to ignore (`nohup`) it
    /// does not. `answer` is told the first one, from a thread of its own; `leaving` is called where that thread then ends the
    /// process, because nothing is to be saved. A second INT ends the process at once, with
    /// code 130. A file that grows over its limit (XFSZ) is an error instead of the end of the process.
    ///
    /// # Errors
    /// [`Error::Internal`] where the system refuses a handler.
    #[cfg(feature = "cli")]
    pub fn install(answer: impl Fn(&str) + Send + 'static, leaving: impl Fn() + Send + 'static) -> Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
        use signal_hook::iterator::Signals;

        let refused = |why: std::io::Error| Error::Internal(format!("signals cannot be listened to: {why}"));
        let signals =
            [("SIGTERM", SIGTERM), ("SIGINT", SIGINT), ("SIGHUP", SIGHUP), ("SIGUSR1", SIGUSR1), ("SIGUSR2", SIGUSR2)];
        let heard = signals.into_iter().filter(|(_, signal)| *signal != SIGHUP || !ignores(*signal));
        let flags: Vec<_> = heard.map(|(name, signal)| (name, signal, Arc::new(AtomicBool::new(false)))).collect();
        for (_, signal, flag) in &flags {
            if *signal == SIGINT {
                signal_hook::flag::register_conditional_shutdown(*signal, KILLED_FROM_KEYBOARD, Arc::clone(flag))
                    .map_err(refused)?;
            }
            signal_hook::flag::register(*signal, Arc::clone(flag)).map_err(refused)?;
        }
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map_err(refused)?;
        let mut arriving = Signals::new(flags.iter().map(|(_, signal, _)| *signal)).map_err(refused)?;
        let names: Vec<(i32, &'static str)> = flags.iter().map(|(name, signal, _)| (*signal, *name)).collect();
        let idle = Arc::new(AtomicUsize::new(0));
        let is_idle = Arc::clone(&idle);
        std::thread::spawn(move || {
            for signal in arriving.forever() {
                let name = names.iter().find(|(s, _)| *s == signal).map_or("a signal", |(_, name)| name);
                if is_idle.load(Ordering::SeqCst) > 0 {
                    answer(&format!("{name}: stopped; nothing was begun that is to be saved"));
                    leaving();
                    std::process::exit(i32::from(crate::error::STOPPED));
                }
                answer(&format!(
                    "{name}: stopping behind this step, which is saved; a second Ctrl-C ends the program at once"
                ));
            }
        });
        let flags = flags.into_iter().map(|(name, _, flag)| (name, flag)).collect();
        Ok(Interrupt { flags, idle })
    }

    /// Comes also when `flag` is set.
    pub fn also(&mut self, reason: &'static str, flag: Arc<AtomicBool>) {
        self.flags.push((reason, flag));
    }

    /// There is nothing to save as long as the value lives: a signal need not wait.
    ///
    /// # Errors
    /// As [`Interrupt::check`].
    pub fn idle(&self) -> Result<Idle> {
        self.idle.fetch_add(1, Ordering::SeqCst);
        let idle = Idle(Arc::clone(&self.idle));
        self.check().map(|()| idle)
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`Error::Stopped`] naming the signal that asked the run to stop, if one did.
    pub fn check(&self) -> Result<()> {
        match self.flags.iter().find(|(_, flag)| flag.load(Ordering::Relaxed)) {
            Some((signal, _)) => Err(Error::Stopped { signal }),
            None => Ok(()),
        }
    }
}

/// Whether the process ignores a signal, where Linux tells.
#[cfg(feature = "cli")]
fn ignores(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    mask & 1 << (signal - 1) != 0
}
