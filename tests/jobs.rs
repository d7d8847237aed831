//! Jobs as a caller of the library sees them: their events in order, their ends when they are stopped, and documents that hold
//! every sample.

#[path = "fixtures/attacked.rs"]
mod attacked;
#[path = "fixtures/quarters.rs"]
mod quarters;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use robustnas::config::{Config, Setting};
use robustnas::data::{Dataset, Images};
use robustnas::error::{Error, Result};
use robustnas::jobs::{Interrupt, Observer, Progress, Task, attack, search};
use robustnas::record::{Evaluation, Outcome};
use robustnas::report::attacked::{AttackResultFile, Attacked};
use robustnas::report::evaluated::Evaluated;
use robustnas::store::history::History;
use robustnas::threat::{Attack, AttackPlan, Pgd};
use robustnas::units::{Fraction, Macs, Params};

const SPACE: &str = include_str!("../search_spaces/dsara-tiny.toml");

/// A search of seconds whose networks learn enough to be ranked.
const QUICK: [(&str, &str); 21] = [
    ("budgets", "['128k']"),
    ("split.train", "600"),
    ("split.validation", "100"),
    ("split.test", "50"),
    ("split.weights_share", "0.3"),
    ("supernet.channels", "2"),
    ("search.epochs", "2"),
    ("search.stage_one_epochs", "0"),
    ("search.warmup_epochs", "0"),
    ("search.batch", "16"),
    ("search.probe", "16"),
    ("search.trials.spend", "0.5"),
    ("search.trials.halving", "{ networks = 2, eta = 2, rungs = 1, longest = 0.25 }"),
    ("search.trials.pool", "{ networks = 3, images = 16 }"),
    ("derive.images", "16"),
    ("retrain.epochs", "4"),
    ("retrain.batch", "16"),
    ("retrain.method.eps", "1/255"),
    ("derive.random", "0"),
    ("scaling.tolerance", "0.4"),
    ("scaling.depth_share", "[0.5, 0.99]"),
];

/// Keeps every event, and after some of those that count asks the job to stop.
struct Stopping {
    seen: Vec<Progress>,
    counts: fn(&Progress) -> bool,
    after: usize,
    stop: Arc<AtomicBool>,
}

impl Stopping {
    fn new(after: usize, counts: fn(&Progress) -> bool) -> Self {
        Stopping { seen: Vec::new(), counts, after, stop: Arc::default() }
    }

    fn interrupt(&self) -> Interrupt {
        Interrupt::when("TEST", Arc::clone(&self.stop))
    }
}

impl Observer for Stopping {
    fn on(&mut self, event: Progress) {
        self.seen.push(event);
        self.stop.store(self.seen.iter().filter(|e| (self.counts)(e)).count() >= self.after, Ordering::Relaxed);
    }
}

fn is_step(event: &Progress) -> bool {
    matches!(event, Progress::Step { .. })
}

fn search_job(out: &Path) -> search::Job {
    let data = format!("'{}'", quarters::source(8));
    let settings: Vec<Setting> =
        QUICK.iter().chain(&[("data", &data[..])]).map(|(key, value)| Setting::new(key, value)).collect();
    let config = Config::from_toml(SPACE, Path::new("dsara-tiny.toml"), &settings).unwrap();
    let (argv, checkpoint_every) = (vec!["test".into()], Duration::from_secs(3600));
    search::Job { argv, checkpoint_every, ..search::Job::new(config, out.into()) }
}

/// Timing adds milliseconds to what a search leaves, and changes nothing else of it.
#[test]
fn a_timed_search_has_the_same_answer_and_its_times() {
    let folder = tempfile::tempdir().unwrap();
    let answer = |name: &str, time: bool| {
        let mut job = search_job(&folder.path().join(name));
        job.config.evaluate.time = time;
        search::run(&job, &Interrupt::never(), &mut Vec::new()).unwrap();
        ["ranked.json", "frontier.json"].map(|file| {
            let text = std::fs::read(job.out.join(file)).unwrap();
            serde_json::from_slice::<serde_json::Value>(&text).unwrap()
        })
    };
    let plain = answer("plain", false);
    let mut timed = answer("timed", true);
    assert_ne!(plain, timed);
    let entries =
        timed[0]["budgets"].as_array_mut().unwrap().iter_mut().flat_map(|b| b["entries"].as_array_mut().unwrap());
    let mut seen = 0;
    for entry in entries.filter(|entry| entry["status"] == "ok") {
        let speed = entry.as_object_mut().unwrap().remove("speed").expect("every trained network is timed");
        let [forward, training] = ["forward_ms", "training_ms"].map(|key| speed[key].as_f64().unwrap());
        assert!(0.0 < forward && forward < training, "{speed}");
        assert_eq!((&speed["batch"], &speed["passes"]), (&16.into(), &5.into()));
        seen += 1;
    }
    assert!(seen > 0);
    for point in timed[1]["runs"][0]["points"].as_array_mut().unwrap() {
        assert!(point.as_object_mut().unwrap().remove("speed").is_some(), "{point}");
    }
    assert_eq!(plain, timed);
}

/// The events of a task's training, without those before and behind it: positions in order, and none left out.
fn steps(events: &[Progress], from: usize, epoch_len: usize) -> usize {
    let mut taken = from;
    for event in events {
        if let Progress::Step { next, loss, .. } = event {
            taken += 1;
            assert_eq!((next.epoch as usize, next.step), (taken / epoch_len, taken % epoch_len));
            assert!(loss.is_finite());
        }
    }
    taken
}

fn place(events: &[Progress], what: &str, is: impl Fn(&Progress) -> bool) -> usize {
    events.iter().position(is).unwrap_or_else(|| panic!("no {what} in {events:#?}"))
}

/// A search that is stopped after three steps of its supernet and continued: what it tells, in order, and what it leaves.
#[test]
fn a_search_tells_its_events_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let job = search_job(&folder.path().join("run"));
    let mut first = Stopping::new(3, is_step);
    let stopped = search::run(&job, &first.interrupt(), &mut first);
    assert!(matches!(stopped, Err(Error::Stopped { signal: "TEST" })));
    let seen = &first.seen;
    assert!(matches!(&seen[0], Progress::Reading { source } if source.starts_with("mnist:")), "{:?}", seen[0]);
    assert!(matches!(&seen[1], Progress::Planned(plan) if plan.budgets.len() == 1), "{:?}", seen[1]);
    assert_eq!(seen[2], Progress::RunStarted { folder: job.out.clone() });
    let Progress::TaskStarted { task: Task::Search, done: 0, steps: all } = seen[3] else { panic!("{:?}", seen[3]) };
    let epoch_len = all as usize / 2;
    assert!(epoch_len > 3, "{all} steps");
    assert_eq!(steps(&seen[4..7], 0, epoch_len), 3);
    assert_eq!(seen[7..], [Progress::TaskDone { task: Task::Search }]);

    let mut second = Vec::new();
    let ranked = search::run(&job, &Interrupt::never(), &mut second).unwrap();
    assert_eq!(second[2], Progress::RunContinued { folder: job.out.clone() });
    assert_eq!(second[3], Progress::TaskStarted { task: Task::Search, done: 3, steps: all });
    let end = place(&second, "end of the search", |e| *e == Progress::TaskDone { task: Task::Search });
    assert_eq!(steps(&second[4..end], 3, epoch_len), all as usize);
    let epochs: Vec<u32> = second[..end]
        .iter()
        .filter_map(|e| if let Progress::EpochDone(e) = e { Some(e.epoch) } else { None })
        .collect();
    assert_eq!(epochs, [1, 2]);

    // A genotype is selected, three are scored in the supernet, and two of them tried; each part is told by its name.
    assert_eq!(second[end + 1], Progress::Note("selecting from the supernet".into()));
    let mut at = end + 2;
    let names = ["scores in the supernet", "128.0k two-stage, trial 0 at 0.250", "128.0k two-stage, trial 1 at 0.250"];
    for (name, scored) in names.iter().zip([true, false, false]) {
        let Progress::TaskStarted { task, done: 0, steps: all } = &second[at] else { panic!("{:?}", second[at]) };
        assert!(matches!(task, Task::Trial { name: told } if told.starts_with(name)), "{task}");
        let taken = if scored { 0 } else { *all as usize };
        let end = at + 1 + taken;
        assert_eq!(steps(&second[at + 1..end], 0, *all as usize / 4), taken);
        assert_eq!(second[end], Progress::TaskDone { task: task.clone() });
        at = end + 1;
        if !scored {
            let Progress::Note(told) = &second[at] else { panic!("{:?}", second[at]) };
            assert!(told.starts_with(name) && told.contains("objective 0."), "{told}");
            at += 1;
        }
    }

    // Every candidate is begun, trained, ended and told; then they are tested.
    let records = History::read(&job.out).unwrap().records();
    for record in &records {
        at += second[at..].iter().take_while(|e| matches!(e, Progress::LeftOut(_))).count();
        let Progress::TaskStarted { task, done: 0, steps: all } = &second[at] else { panic!("{:?}", second[at]) };
        let (arch, budget, origin) = (record.arch.clone(), record.budget, record.origin.clone());
        assert_eq!(*task, Task::Train { arch, budget, origin });
        let end = at + 1 + *all as usize;
        assert_eq!(steps(&second[at + 1..end], 0, *all as usize / 4), *all as usize);
        assert_eq!(second[end], Progress::TaskDone { task: task.clone() });
        let Progress::CandidateDone(told) = &second[end + 1] else { panic!("{:?}", second[end + 1]) };
        assert_eq!((&told.arch, &told.cost), (&record.arch, &record.cost));
        at = end + 2;
    }
    let tests: Vec<(&String, &Evaluation)> =
        records.iter().filter_map(|r| Some((&r.arch, tested(&r.outcome)?))).collect();
    assert!(!tests.is_empty(), "no network was tested: {records:#?}");
    let steps = tests.len() as u64;
    assert_eq!(second[at], Progress::TaskStarted { task: Task::Test, done: 0, steps });
    let told = tests.iter().map(|(arch, evaluation)| {
        let evaluation = Box::new((*evaluation).clone());
        Progress::Tested { arch: (*arch).clone(), evaluation }
    });
    let rest: Vec<Progress> = told.chain([Progress::TaskDone { task: Task::Test }]).collect();
    assert_eq!(second[at + 1..], rest);

    // What is left of a tested network counts every image, and its flags are those of the counts.
    for (arch, evaluation) in &tests {
        let path = job.out.join("archs").join(arch).join("eval.json");
        let bytes = std::fs::read(&path).unwrap();
        let found = Evaluated::from_json(&path, &bytes).unwrap();
        assert_eq!(found.evaluation, **evaluation);
        assert_eq!(found.to_json().unwrap(), bytes);
        let flags = found.flags.clone().unwrap();
        assert_eq!((flags.ids.len(), flags.attacks.len()), (50, evaluation.attacks.len()));
        let ones = |flags: &str| flags.matches('1').count() as u64;
        assert_eq!([ones(&flags.clean), ones(&flags.robust)], [evaluation.clean.hit, evaluation.robust.hit]);
        for (flags, attack) in flags.attacks.iter().zip(&evaluation.attacks) {
            assert_eq!(ones(flags), attack.robust.hit);
        }
        // An image is robust if it is right clean and after every attack; attacks are given what is right clean.
        for i in 0..50 {
            let digit = |flags: &str| flags.as_bytes()[i];
            let after: Vec<u8> = flags.attacks.iter().map(|f| digit(f)).collect();
            let clean = digit(&flags.clean) == b'1';
            assert!(after.iter().all(|a| (*a == b'-') != clean));
            assert_eq!(digit(&flags.robust) == b'1', clean && after.iter().all(|a| *a == b'1'));
        }
        let mut changed = found.clone();
        changed.flags = Some(flags).map(|mut flags| {
            flags.robust = flags.robust.replace('1', "0");
            flags
        });
        let refused = Evaluated::from_json(&path, &changed.to_json().unwrap());
        if evaluation.robust.hit > 0 {
            let why = refused.unwrap_err().to_string();
            assert!(why.contains("`robust`") && why.contains("eval.json") && why.contains("was changed"), "{why}");
        }
    }
    assert_eq!(ranked.budgets[0].entries.len(), records.len());
}

fn tested(outcome: &Outcome) -> Option<&Evaluation> {
    match outcome {
        Outcome::Ok { test, .. } => test.as_ref(),
        Outcome::Failed { .. } => None,
    }
}

/// Images of which that network gets thirty right.
fn attacked_images() -> Dataset {
    let (test, _) = attacked::data(&mut attacked::network(), 40);
    let classes = (0..4).map(|class| class.to_string()).collect();
    let (name, image, train) = ("random".into(), attacked::IMAGE, Images::default());
    Dataset { name, classes, image, train, test, notes: vec![] }
}

/// A plan of two attacks on a network of four classes; 40 images in batches of eight.
fn attack_job<'a>(data: &'a Dataset, out: Option<&Path>) -> attack::Job<'a> {
    let network = attacked::network();
    let ids = data.test.ids();
    let eps = Fraction::of_255(64);
    let attacks = vec![Attack::Fgsm { eps }, Attack::Pgd(Pgd::new(eps, Fraction::of_255(16), 4))];
    let about =
        Attacked { net: "small".into(), arch: "a".into(), weights: "w".into(), params: Params(1), macs: Macs(1) };
    attack::Job {
        data,
        ids,
        subject: attack::Subject { network, about },
        source: None,
        plan: AttackPlan { cascade: false, ..AttackPlan::new("two", attacks) },
        seed: 5,
        batch: 8,
        out: out.map(Path::to_owned),
        save_adversarial: false,
    }
}

/// What is not wall time.
fn without_time(mut result: AttackResultFile) -> AttackResultFile {
    result.attacks.iter_mut().for_each(|attack| attack.seconds = 0.0);
    result
}

/// An attack that is stopped after any batch and continued gives what one gives that was left alone.
#[test]
fn a_stopped_attack_goes_on() -> Result<()> {
    let data = attacked_images();
    let mut told = Vec::new();
    let whole = without_time(attack::run(attack_job(&data, None), &Interrupt::never(), &mut told)?);
    let right = whole.clean_correct as usize;
    assert_eq!((whole.n, right), (40, 30));
    assert!(whole.robust < whole.clean_correct, "nothing fell");
    let batches = right.div_ceil(8);
    let counts: Vec<(&str, usize, usize)> = told
        .iter()
        .map(|event| match event {
            Progress::Attacked { attack, done, given, .. } => (attack.as_str(), *done, *given),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected: Vec<_> = ["fgsm", "pgd-4"]
        .into_iter()
        .flat_map(|name| (1..=batches).map(move |batch| (name, (8 * batch).min(right), right)))
        .collect();
    assert_eq!(counts, expected);
    for (i, attack) in whole.attacks.iter().enumerate() {
        let mut stand = told.iter().filter_map(|event| match event {
            Progress::Attacked { attack: name, stand, .. } if *name == attack.name => Some(*stand as u64),
            _ => None,
        });
        assert_eq!(stand.next_back(), Some(attack.stands), "attack {i}");
    }

    for after in [1, batches, 2 * batches - 1] {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Stopping::new(after, |event| matches!(event, Progress::Attacked { .. }));
        let stopped = attack::run(attack_job(&data, Some(folder.path())), &first.interrupt(), &mut first);
        assert!(matches!(stopped, Err(Error::Stopped { .. })));
        assert!(!folder.path().join("result.json").exists());
        let mut second = Vec::new();
        let result = attack::run(attack_job(&data, Some(folder.path())), &Interrupt::never(), &mut second)?;
        // Five batches of clean images come first.
        assert_eq!(second[0], Progress::AttackContinued { batches: 5 + after });
        assert_eq!(without_time(result), whole);
        let path = folder.path().join("result.json");
        let kept = AttackResultFile::from_json(&path, &std::fs::read(&path).unwrap())?;
        assert_eq!(without_time(kept), whole);
        assert!(folder.path().join("examples.png").exists());
    }
    Ok(())
}
