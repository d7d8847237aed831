//! What a study says of made numbers: better where searched networks are, worse where they are not, and nothing where nothing
//! can be said; always of all searches, corrected for all questions.

use std::path::Path;

use robustnas::config::strategy::Method;
use robustnas::config::{Config, Setting};
use robustnas::record::{Evaluation, Sample};
use robustnas::report::searches::facts::{Compared, Described, Line, Outcome, SearchId, Trained};
use robustnas::report::searches::{About, SearchesReport, Verdict, picture};
use robustnas::search::evaluator::Score;
use robustnas::search::trial::{Answer, Fidelity, Origin, Outcome as Tried, Phase, Spent, TrialLine};
use robustnas::seed::{Seed, Stream};
use robustnas::units::{Macs, Params, Tally};

const SPACE: &str = include_str!("../search_spaces/study-cifar10.toml");

fn about() -> About {
    let strategies = Setting::new("study.strategies", "['single-path', 'halving']");
    let config = Config::from_toml(SPACE, Path::new("space.toml"), &[strategies]).unwrap();
    let study = config.study.clone().unwrap();
    About::new(&config, &study, "made")
}

fn tally(share: f64) -> Tally {
    Tally { hit: (share * 1e6).round() as u64, total: 1_000_000 }
}

/// A training that cost one million multiply-accumulates and its measuring a tenth of that.
fn trained(of: Compared, training: u32, macs: u64, validation: f64, robust: f64) -> Line {
    let sample =
        Sample { data: "made".into(), data_id: "0".into(), split: "test".into(), n: 1_000_000, index_id: "0".into() };
    let test = Evaluation {
        sample,
        clean: tally(robust + 0.1),
        gradient_samples: 1,
        attacks: Vec::new(),
        robust: tally(robust),
        checks: Vec::new(),
        seed: 0,
    };
    let spent = Spent { trainings: 1.0, training: Macs(1_000_000), evaluation: Macs(100_000) };
    let validation = Score { clean: tally(validation), attacked: tally(validation) };
    let (genotype, summary) = (None, "made".to_owned());
    let network = Described { arch: format!("{macs}"), genotype, summary, macs: Macs(macs), params: Params(macs / 20) };
    Line::Trained(Trained { of, training, network, outcome: Outcome::Ok { spent, validation, test } })
}

fn trial(of: SearchId, trainings: f64) -> Line {
    let spent =
        Spent { trainings, training: Macs((trainings * 1e6) as u64), evaluation: Macs((trainings * 1e5) as u64) };
    let answer = Answer { outcome: Tried::Measured { objective: 0.3 }, spent };
    let (fidelity, origin) = (Fidelity::FULL, Origin::Drawn);
    Line::Trial { of, trial: TrialLine { phase: Phase::Train, genotype: "made".into(), fidelity, origin, answer } }
}

fn normal(stream: &mut Stream) -> f64 {
    f64::from(stream.normal())
}

/// 30 random networks around 30 %, of which eight are trained twice; six searches of `trainings` each by two strategies, whose
/// networks are that much better; a hand-made network at 31 %. A percent more multiply-accumulates is worth `size`.
fn study(better: [f64; 2], trainings: f64, size: f64, seed: u64) -> Vec<Line> {
    let mut stream = Seed::root(seed).stream();
    let mut lines = Vec::new();
    for network in 0..30 {
        let of = Compared::Random { number: network };
        let macs = 2_900_000 + u64::from(network % 7) * 9_000;
        let truth = 0.30 + 0.01 * normal(&mut stream) + size * (macs as f64 / 2.9e6 - 1.0) * 100.0;
        for training in 0..if network < 8 { 2 } else { 1 } {
            let robust = truth + 0.005 * normal(&mut stream);
            lines.push(trained(of, training, macs, truth + 0.004 * normal(&mut stream), robust));
        }
    }
    for (method, better) in [Method::SinglePath, Method::Halving].into_iter().zip(better) {
        for search in 0..6 {
            let id = SearchId { method, search };
            lines.push(trial(id, trainings));
            let truth = 0.30 + better + 0.006 * normal(&mut stream);
            for training in 0..3 {
                let robust = truth + 0.005 * normal(&mut stream);
                lines.push(trained(Compared::Found(id), training, 2_927_000, 0.4, robust));
            }
        }
    }
    for training in 0..6 {
        lines.push(trained(Compared::HandMade, training, 2_910_000, 0.4, 0.31 + 0.005 * normal(&mut stream)));
    }
    lines
}

#[test]
fn verdicts_follow_from_the_numbers() {
    let report = SearchesReport::new(about(), &study([0.03, 0.0], 4.0, 0.0, 1)).unwrap();
    assert!(report.missing.is_empty(), "{:?}", report.missing);
    let [good, idle] = &report.strategies[..] else { panic!("two strategies") };
    let verdict = |question: &Option<robustnas::report::searches::Question>| question.as_ref().unwrap().verdict;
    let all = |asked: &robustnas::report::searches::Asked| {
        [verdict(&asked.sampling), verdict(&asked.equal_cost), verdict(&asked.hand_made)]
    };
    assert_eq!(all(&good.asked), [Verdict::Better; 3], "{}", report.text());
    // No better than random: not shown, and certainly not better than what is a point above that.
    assert_eq!(verdict(&idle.asked.sampling), Verdict::NotShown, "{}", report.text());
    assert_ne!(verdict(&idle.asked.hand_made), Verdict::Better, "{}", report.text());
    // A search that cost four random networks with their measuring.
    assert_eq!(good.asked.equal_cost.as_ref().unwrap().networks, Some(4));
    assert!(good.asked.equal_cost.as_ref().unwrap().against > report.random.unwrap().mean + 0.005);
    // Six questions are corrected together.
    for question in good.asked.each().chain(idle.asked.each()).map(|(_, question)| question) {
        assert!(question.p_holm >= question.welch.p && question.p_holm <= 1.0);
    }
    let text = report.text();
    for words in
        ["is not shown", "what single-path finds is better than random sampling", "halving finds is worse than"]
    {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    let noise = report.noise.as_ref().unwrap();
    assert!(noise.networks == 8 && (0.002..0.009).contains(&noise.run_sd), "{noise:?}");
    assert!((0.006..0.014).contains(&noise.architecture_sd), "{noise:?}");
    let objective = report.proxies.iter().find(|proxy| proxy.name.starts_with("objective")).unwrap();
    let params = report.proxies.iter().find(|proxy| proxy.name == "parameters").unwrap();
    assert!(objective.tau.tau > 0.4 && params.tau.tau < 0.4 && params.given_params.is_none());
    let drawing = picture::draw(&report).unwrap();
    assert_eq!(drawing.matches("<circle").count(), 30 + 6 + 12 + 4, "a dot a network or training, and a mean a row");
}

/// Three points below the hand-made network there is no doubt.
#[test]
fn worse_is_said_too() {
    let report = SearchesReport::new(about(), &study([-0.02, -0.02], 4.0, 0.0, 5)).unwrap();
    for strategy in &report.strategies {
        assert_eq!(strategy.asked.hand_made.as_ref().unwrap().verdict, Verdict::Worse, "{}", report.text());
    }
    assert!(report.text().contains("what halving finds is worse than the hand-made network"), "{}", report.text());
}

/// Where size is worth something, searched networks of the random ones' mean size are not credited with it.
#[test]
fn sizes_are_taken_into_account() {
    let report = SearchesReport::new(about(), &study([0.0, 0.0], 4.0, 0.004, 2)).unwrap();
    let question = report.strategies[0].asked.sampling.as_ref().unwrap();
    assert!(question.at_equal_macs);
    // All of one size: nothing to take into account.
    let mut lines = study([0.0, 0.0], 4.0, 0.0, 2);
    for line in &mut lines {
        if let Line::Trained(trained) = line {
            trained.network.macs = Macs(2_900_000);
        }
    }
    let report = SearchesReport::new(about(), &lines).unwrap();
    assert!(!report.strategies[0].asked.sampling.as_ref().unwrap().at_equal_macs);
}

/// A study that has begun tells what it lacks and asks nothing that it cannot.
#[test]
fn parts_of_a_study_say_so() {
    let report = SearchesReport::new(about(), &[]).unwrap();
    assert_eq!(report.missing.len(), 5, "{:?}", report.missing);
    assert!(report.missing.contains(&"30 of 30 random networks".to_owned()), "{:?}", report.missing);
    assert!(report.strategies.iter().all(|strategy| strategy.asked.each().count() == 0));
    assert!(report.verdicts().is_empty());
    picture::draw(&report).unwrap();
    let whole = study([0.01, 0.01], 40.0, 0.0, 3);
    let report = SearchesReport::new(about(), &whole[..20]).unwrap();
    assert!(report.text().contains("missing   "), "{}", report.text());
    // The best of forty random networks is not known from thirty.
    let report = SearchesReport::new(about(), &whole).unwrap();
    assert!(report.strategies.iter().all(|strategy| strategy.asked.equal_cost.is_none()));
    assert!(report.to_json().unwrap().ends_with(b"}\n"));
}

/// Of studies in which nothing is to be found few say that something is.
#[test]
fn chance_is_rarely_a_verdict() {
    let wrong = (0..60)
        .filter(|seed| {
            let report = SearchesReport::new(about(), &study([0.0, 0.0], 1.0, 0.0, 100 + seed)).unwrap();
            let mut asked = report.strategies.iter().filter_map(|strategy| strategy.asked.sampling.as_ref());
            asked.any(|question| question.verdict == Verdict::Better)
        })
        .count();
    assert!(wrong <= 6, "{wrong} of 60 studies");
}
