//! Signals: the first asks for a checkpoint and a clean end, a second interrupt from the keyboard ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// Exit code of a second Ctrl-C.
#[cfg(feature = "cli")]
const KILLED_FROM_KEYBOARD: i32 = 130;

/// Whether, and by what, the run was asked to stop. The handlers only set a flag; the work looks at it between steps.
#[derive(Default)]
pub struct Interrupt {
    flags: Vec<(&'static str, Arc<AtomicBool>)>,
}

impl Interrupt {
    /// One that never comes.
    pub fn never() -> Self {
        Interrupt::default()
    }

    /// One that comes when `flag` is set; the error then names `signal`.
    pub fn when(signal: &'static str, flag: Arc<AtomicBool>) -> Self {
        Interrupt { flags: vec![(signal, flag)] }
    }

    /// Listens to TERM, INT, USR1 and USR2 from here on. A second INT ends the process at once, with code 130.
    ///
    /// # Errors
    /// [`Error::Internal`] where the system refuses a handler.
    #[cfg(feature = "cli")]
    pub fn install() -> Result<Self> {
        use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

        let signals = [("SIGTERM", SIGTERM), ("SIGINT", SIGINT), ("SIGUSR1", SIGUSR1), ("SIGUSR2", SIGUSR2)];
        let mut flags = Vec::new();
        for (name, signal) in signals {
            let flag = Arc::new(AtomicBool::new(false));
            let refused = |why: std::io::Error| Error::Internal(format!("{name} cannot be listened to: {why}"));
            if signal == SIGINT {
                signal_hook::flag::register_conditional_shutdown(signal, KILLED_FROM_KEYBOARD, Arc::clone(&flag))
                    .map_err(refused)?;
            }
            signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(refused)?;
            flags.push((name, flag));
        }
        Ok(Interrupt { flags })
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
