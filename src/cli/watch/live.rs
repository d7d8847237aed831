//! The dashboard on the terminal: looks at the folders every second, and leaves the terminal as it was on every way out.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::draw::draw;
use super::view::{Answer, View};
use super::watched::{EVERY, Watched};
use crate::error::{Error, Result};
use crate::jobs::Interrupt;

/// The longest that a key or a signal waits.
const TICK: Duration = Duration::from_millis(100);

/// How long the dashboard may take to end behind a signal.
const PATIENCE: Duration = Duration::from_secs(1);

/// The terminal in the dashboard's hands. Beginning it also lets a panic give it back before its message.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> Result<Self> {
        ratatui::try_init().map(Screen).map_err(|why| {
            // It may have been taken in part.
            drop(ratatui::try_restore());
            unusable(why)
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that went away cannot be given back.
        drop(ratatui::try_restore());
    }
}

fn unusable(source: std::io::Error) -> Error {
    Error::Io { path: PathBuf::from("terminal"), source }
}

/// Shows runs until a key or a signal.
pub(super) fn show(runs: &[PathBuf]) -> Result<()> {
    // The signal is the answer; what the handler says would be written over the picture. Where the terminal is gone, asking for
    // keys may never come back, and the process ends here.
    let end = || {
        std::thread::sleep(PATIENCE);
        drop(ratatui::try_restore());
        std::process::exit(0);
    };
    let interrupt = Interrupt::install(move |_| drop(std::thread::spawn(end)), || ())?;
    let seen = look_on(runs.to_vec());
    let mut view = View { runs: runs.iter().map(|run| Watched::new(run)).collect(), ..View::default() };
    // The first look comes before the first picture, unless the file system is slow.
    if let Ok(first) = seen.recv_timeout(EVERY).or_else(|why| match why {
        RecvTimeoutError::Timeout => Err(()),
        RecvTimeoutError::Disconnected => Ok(Vec::new()),
    }) {
        view.runs = if first.is_empty() { view.runs } else { first };
    }
    let mut screen = Screen::take()?;
    loop {
        screen.0.draw(|frame| draw(&view, frame)).map_err(unusable)?;
        loop {
            // What a signal asks for is done; a dashboard has nothing to continue.
            if interrupt.check().is_err() {
                return Ok(());
            }
            match seen.try_recv() {
                Ok(runs) => {
                    view.runs = runs;
                    break;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => {
                    return Err(Error::Internal("the thread that reads run folders is gone".into()));
                }
            }
            if event::poll(TICK).map_err(unusable)? {
                match event::read().map_err(unusable)? {
                    Event::Key(key) if key.kind != KeyEventKind::Release => {
                        if view.key(key) == Answer::Quit {
                            return Ok(());
                        }
                        break;
                    }
                    Event::Resize(..) => break,
                    _ => {}
                }
            }
        }
    }
}

/// Looks every second from a thread of its own: a file system that does not answer must not hold up the keys.
fn look_on(folders: Vec<PathBuf>) -> Receiver<Vec<Watched>> {
    let (give, seen) = channel();
    std::thread::spawn(move || {
        let mut runs: Vec<Watched> = folders.iter().map(|folder| Watched::new(folder)).collect();
        loop {
            for (run, folder) in runs.iter_mut().zip(&folders) {
                run.look(folder);
            }
            if give.send(runs.clone()).is_err() {
                return;
            }
            std::thread::sleep(EVERY);
        }
    });
    seen
}
