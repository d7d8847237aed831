//! The dashboard's pictures, as text. Regenerate with `UPDATE=1 cargo test --lib watch` and read the difference.

use std::path::{Path, PathBuf};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::draw::draw;
use super::lines::Followed;
use super::view::{Answer, Panel, View};
use super::watched::Watched;
use crate::jobs::At;
use crate::jobs::state::State;
use crate::record::{Check, FailureKind, Outcome};
use crate::store::history::History;

/// A finished run whose files are part of the repository.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results/example")
}

/// The finished run.
fn finished() -> State {
    State::read(&example()).unwrap()
}

/// The same run when it had so many events, on which nobody works.
fn early(events: usize) -> State {
    let mut history = History::read(&example()).unwrap();
    history.events.truncate(events);
    State::of(history, Path::new("config.toml")).unwrap()
}

fn at() -> At {
    At { task: "search".into(), done: 120, steps: 480, seconds_left: Some(754.0) }
}

/// The same run while a process works on it.
fn working(events: usize) -> State {
    State { worker: Some("pid 4711 on a-machine".into()), at: Some(at()), ..early(events) }
}

fn watched(state: State) -> Watched {
    let mut watched = Watched::new(Path::new("results/example"));
    watched.take(state, None);
    watched
}

fn view(state: State) -> View {
    View { runs: vec![watched(state)], ..View::default() }
}

/// The picture of a size.
fn picture(view: &View, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(view, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y: u16| -> String { (0..width).map(|x| buffer[(x, y)].symbol()).collect() };
    (0..height).map(|y| row(y).trim_end().to_owned() + "\n").collect()
}

/// Compares a picture with the golden one.
fn golden(name: &str, view: &View, size: (u16, u16)) {
    let found = picture(view, size);
    assert_eq!(found, picture(view, size), "the same state gives the same picture");
    let (width, height) = size;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/watch/{name}-{width}x{height}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        crate::store::atomic::create_folder(file.parent().unwrap()).unwrap();
        crate::store::atomic::write(&file, found.as_bytes()).unwrap();
    }
    let golden = std::fs::read_to_string(&file).expect("no golden file: run once with UPDATE=1");
    assert!(found == golden, "{} differs; it is now\n{found}\nand was\n{golden}", file.display());
}

#[test]
fn a_finished_run() {
    for size in [(60, 20), (80, 24), (120, 40), (160, 50)] {
        golden("finished", &view(finished()), size);
    }
}

#[test]
fn a_run_of_one_line() {
    for size in [(60, 20), (120, 40)] {
        golden("one-line", &view(working(1)), size);
    }
}

#[test]
fn an_empty_search() {
    for size in [(60, 20), (120, 40)] {
        golden("empty", &view(early(0)), size);
    }
}

#[test]
fn a_run_that_has_not_begun() {
    let view = View { runs: vec![Watched::new(Path::new("results/night"))], ..View::default() };
    golden("not-begun", &view, (80, 24));
}

#[test]
fn each_panel_alone() {
    let mut view = view(finished());
    for panel in Panel::ALL.into_iter().skip(1) {
        view.panel = panel;
        golden(panel.word(), &view, (100, 30));
    }
}

/// Failures and raised checks are told in the table and among the warnings.
#[test]
fn failures_and_doubts() {
    let mut state = early(12);
    state.records[0].outcome =
        Outcome::Failed { kind: FailureKind::Nan, reason: "the loss of step 7 is not a number".into() };
    if let Outcome::Ok { validation, .. } = &mut state.records[1].outcome {
        validation.checks = vec![Check::ZeroGradient, Check::CleanAtChance];
    }
    golden("doubts", &view(state), (120, 40));
}

#[test]
fn no_size_is_too_small_or_too_large() {
    for state in [finished(), working(1), early(0)] {
        let mut view = view(state);
        for panel in Panel::ALL {
            view.panel = panel;
            for size in [(1, 1), (3, 2), (10, 5), (20, 60), (300, 8), (400, 120)] {
                for help in [false, true] {
                    view.help = help;
                    picture(&view, size);
                }
            }
        }
    }
}

fn press(view: &mut View, code: KeyCode) -> Answer {
    view.key(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn keys_lead_everywhere_and_out() {
    let mut view = View { runs: vec![watched(finished()), watched(early(3))], ..View::default() };
    for panel in Panel::ALL.into_iter().skip(1).chain([Panel::All]) {
        press(&mut view, KeyCode::Tab);
        assert_eq!(view.panel, panel);
    }
    press(&mut view, KeyCode::BackTab);
    assert_eq!(view.panel, Panel::Warnings);
    press(&mut view, KeyCode::Char('4'));
    assert_eq!(view.panel, Panel::Candidates);
    for _ in 0..20 {
        press(&mut view, KeyCode::Up);
    }
    assert_eq!(view.scroll, 8, "the first of nine candidates");
    press(&mut view, KeyCode::Right);
    assert_eq!((view.run, view.scroll), (1, 0));
    press(&mut view, KeyCode::Left);
    press(&mut view, KeyCode::Left);
    assert_eq!(view.run, 1);
    press(&mut view, KeyCode::Char('?'));
    assert!(view.help);
    assert_eq!(press(&mut view, KeyCode::Esc), Answer::Stay, "Esc closes the help first");
    assert!(!view.help);
    assert_eq!(press(&mut view, KeyCode::Esc), Answer::Quit);
    assert_eq!(press(&mut view, KeyCode::Char('q')), Answer::Quit);
    assert_eq!(view.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Answer::Quit);
}

/// Where locks are not seen, as over some network file systems, notes that change tell of a process at work.
#[test]
fn a_process_on_another_machine_is_heard() {
    let mut run = Watched::new(Path::new("run"));
    run.take(early(2), Some(at()));
    assert!(run.state.as_ref().unwrap().at.is_none(), "these may be the last words of a process that was killed");
    let later = At { done: 130, ..at() };
    run.take(early(2), Some(later.clone()));
    assert_eq!(run.state.as_ref().unwrap().at, Some(later.clone()));
    for look in 0..40 {
        assert_eq!(run.is_over(), look >= 30, "{look}");
        run.take(early(2), Some(later.clone()));
    }
    assert!(run.state.as_ref().unwrap().at.is_none());
    run.take(finished(), None);
    assert!(run.is_over());
}

#[test]
fn a_line_is_told_once() {
    let mut followed = Followed::new(&example());
    let lines = followed.news(&example());
    assert_eq!(lines.len(), 1 + finished().events.len() + 1);
    assert!(lines[0].starts_with("dsara-small on hf:"), "{}", lines[0]);
    assert!(lines[1].starts_with("epoch 1 stage 0: weights "), "{}", lines[1]);
    assert!(lines[7].starts_with("the supernet's search is over"), "{}", lines[7]);
    assert!(lines[8].contains("searched 9242d587: clean "), "{}", lines[8]);
    assert!(lines.iter().any(|line| line.contains(" test images (cells 4-4-1 channels 2-6-4)")), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "finished");
    assert!(followed.news(&example()).is_empty());
}
