//! Strategies on a space whose truth is known: same seed same trials, kill and resume, none twice, each its own rule.

use super::*;
use crate::arch::nb201::Nb201Cell;
use crate::error::Result;
use crate::search::evaluator::Evaluator;
use crate::search::space::nb201::Nb201;
use crate::search::trial::{Answer, Fidelity, Origin, Outcome, Spent, Trial};
use crate::units::Macs;

/// Counts the convolutions, the large ones double, plus a little of the first edge's choice.
struct Convolutions;

impl Evaluator<Nb201Cell> for Convolutions {
    fn evaluate(&mut self, _: usize, proposal: &Proposal<Nb201Cell>) -> Result<Answer> {
        let worth = |op: usize| [0.0, 0.5, 1.0, 2.0, 0.25][op];
        let objective = proposal.arch.indices().iter().map(|op| worth(*op)).sum();
        let trainings = proposal.fidelity.share();
        let spent = Spent { trainings, training: Macs(1), evaluation: Macs(2) };
        Ok(Answer { outcome: Outcome::Measured { objective }, spent })
    }
}

fn search(strategy: &AnyStrategy, trainings: f64, seed: u64, history: &mut History<Nb201Cell>) {
    let space = Nb201::new();
    while step(strategy, &space, &mut Convolutions, trainings, Seed::root(seed), history).unwrap() {}
}

fn found(strategy: &AnyStrategy, trainings: f64, seed: u64) -> History<Nb201Cell> {
    let mut history = History::default();
    search(strategy, trainings, seed, &mut history);
    history
}

/// Every strategy with its usual constants, and a predictor of trainings in part.
fn all() -> impl Iterator<Item = AnyStrategy> {
    AnyStrategy::USUAL.into_iter().chain([AnyStrategy::Predictor(Predictor { drawn: 20, chosen: 32, ..PARTS })])
}

const PARTS: Predictor = Predictor { full: 7, ..Predictor::USUAL };

/// What has been written down after any number of trials is enough to go on as if nothing had happened.
#[test]
fn killed_between_two_trials_and_continued() {
    for strategy in all() {
        let whole = found(&strategy, 20.0, 5);
        assert_eq!(whole, found(&strategy, 20.0, 5));
        assert_ne!(whole, found(&strategy, 20.0, 6));
        for kept in [0, 1, 11, whole.trials().len() - 1] {
            let lines: Vec<String> = whole.trials()[..kept].iter().map(|t| serde_json::to_string(t).unwrap()).collect();
            let mut resumed = History::default();
            lines.iter().for_each(|line| resumed.push(serde_json::from_str(line).unwrap()));
            search(&strategy, 20.0, 5, &mut resumed);
            assert_eq!(resumed, whole, "{} from {kept}", strategy.name());
        }
    }
}

#[test]
fn budgets_are_kept_and_told() {
    for strategy in all() {
        let history = found(&strategy, 20.0, 1);
        let ledger = history.ledger();
        assert!(ledger.trainings <= 20.0 + 1e-9 && ledger.trainings > 19.0, "{} {ledger:?}", strategy.name());
        assert_eq!((ledger.trials as u64, 2 * ledger.trials as u64), (ledger.training.0, ledger.evaluation.0));
    }
}

/// Only a promotion tries a network again.
#[test]
fn no_network_is_tried_twice() {
    let space = Nb201::new();
    for strategy in all() {
        let history = found(&strategy, 300.0, 2);
        let fresh = history.trials().iter().filter(|t| !matches!(t.proposal.origin, Origin::Promoted { .. }));
        let mut keys: Vec<u16> = fresh.map(|t| space.key(&t.proposal.arch)).collect();
        let tried = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), tried, "{}", strategy.name());
    }
}

/// The best cell is six large convolutions, worth 12. Whoever uses what was told finds it with few trials.
#[test]
fn those_who_learn_find_more() {
    let mean = |strategy: AnyStrategy| {
        let best = |seed| found(&strategy, 60.0, seed).best().unwrap().objective();
        (0..20).map(best).sum::<f64>() / 20.0
    };
    let [random, evolution, local, halving, predictor] = AnyStrategy::USUAL.map(mean);
    assert!(random < 10.0, "{random}");
    assert!(evolution > 11.5 && local > 11.5, "{evolution} {local}");
    assert!(halving > random, "{halving} {random}");
    // A sum of what edges are worth is what its regression is made for.
    assert!(predictor > 11.9, "{predictor}");
}

#[test]
fn parents_are_the_best_of_the_latest() {
    let evolution = Evolution { population: 8, tournament: 8 };
    let history = found(&AnyStrategy::Evolution(evolution), 60.0, 3);
    let trials = history.trials();
    let space = Nb201::new();
    let mut direct = 0;
    for (i, trial) in trials.iter().enumerate() {
        let Origin::Mutated { parent } = trial.proposal.origin else {
            assert!(i < 8 && trial.proposal.origin == Origin::Drawn, "trial {i}");
            continue;
        };
        assert!((i - 8..i).contains(&parent), "trial {i}: parent {parent}");
        assert!(trials[i - 8..i].iter().all(|t| t.objective() <= trials[parent].objective()), "trial {i}");
        direct += usize::from(space.neighbours(&trials[parent].proposal.arch).contains(&trial.proposal.arch));
    }
    assert!(direct > 40, "{direct} children are one step from their parents");
}

#[test]
fn rungs_narrow_and_lengthen() {
    let history = found(&AnyStrategy::Halving(Halving { networks: 9, eta: 3, rungs: 3, longest: 1.0 }), 6.0, 4);
    let trials = history.trials();
    // 9 at a ninth, 3 at a third, 1 in full: three full trainings a round.
    assert_eq!(trials.len(), 26);
    for round in trials.chunks(13) {
        for (rung, share) in [(&round[..9], 1.0 / 9.0), (&round[9..12], 1.0 / 3.0), (&round[12..], 1.0)] {
            assert!(rung.iter().all(|t| (t.proposal.fidelity.share() - share).abs() < 1e-12));
        }
        let mut order: Vec<f64> = round[..9].iter().map(Trial::objective).collect();
        order.sort_by(|a, b| b.total_cmp(a));
        let promoted: Vec<f64> = round[9..12].iter().map(Trial::objective).collect();
        assert_eq!(promoted, order[..3], "the best three go on");
        assert_eq!(round[12].objective(), order[0]);
    }
    let last = trials[25].proposal.clone();
    let Origin::Promoted { from } = last.origin else { panic!("{last:?}") };
    assert_eq!(trials[from].proposal.arch, last.arch);
}

#[test]
fn a_predictor_draws_chooses_and_trains_the_best_in_full() {
    let predictor = Predictor { drawn: 10, chosen: 20, pool: 100, share: 0.25, full: 3 };
    let history = found(&AnyStrategy::Predictor(predictor), 20.0, 4);
    let trials = history.trials();
    assert_eq!(trials.len(), 33, "it ends by itself");
    let (tried, full) = trials.split_at(30);
    assert!(tried[..10].iter().all(|t| t.proposal.origin == Origin::Drawn));
    assert!(tried.iter().all(|t| t.proposal.fidelity.share() == 0.25));
    let mean = |trials: &[Trial<Nb201Cell>]| trials.iter().map(Trial::objective).sum::<f64>() / trials.len() as f64;
    assert!(mean(&tried[20..]) > mean(&tried[..10]) + 3.0, "what it chooses is better than what is drawn");
    for (i, trial) in full.iter().enumerate() {
        let Origin::Promoted { from } = trial.proposal.origin else { panic!("{trial:?}") };
        assert_eq!((trial.proposal.fidelity, &trial.proposal.arch), (Fidelity::FULL, &tried[from].proposal.arch));
        assert!(full[..i].iter().all(|other| other.proposal.origin != trial.proposal.origin));
    }
    let best = tried.iter().map(Trial::objective).fold(0.0, f64::max);
    assert!(full.iter().any(|t| t.objective() == best));
}

/// What a search found is a network trained in full, even if a partial training looked better.
#[test]
fn a_partial_training_is_no_find() {
    let trial = |share, objective| Trial {
        proposal: Proposal {
            arch: Nb201Cell::of_indices([0; 6]),
            fidelity: Fidelity::new(share).unwrap(),
            origin: Origin::Drawn,
        },
        answer: Answer {
            outcome: objective,
            spent: Spent { trainings: share, training: Macs(0), evaluation: Macs(0) },
        },
    };
    let measured = |objective| Outcome::Measured { objective };
    let mut history = History::default();
    assert!(history.best().is_none());
    for (share, outcome) in [
        (1.0, Outcome::Failed { reason: "not a number".into() }),
        (0.5, measured(0.9)),
        (1.0, measured(0.3)),
        (1.0, measured(0.5)),
        (1.0, measured(0.5)),
    ] {
        history.push(trial(share, outcome));
    }
    assert!(std::ptr::eq(history.best().unwrap(), &history.trials()[3]));
    assert_eq!(history.best_of(0..5), Some(1));
}

#[test]
fn a_search_that_has_tried_everything_ends() {
    let mut history = found(&AnyStrategy::Random(Random {}), 3.0, 1);
    let mut tried = vec![false; 6466];
    let space = Nb201::new();
    let trial = history.trials()[0].clone();
    for cell in Nb201::cells() {
        if !std::mem::replace(&mut tried[usize::from(space.key(&cell))], true) {
            let mut trial = trial.clone();
            trial.proposal.arch = cell;
            history.push(trial);
        }
    }
    for strategy in all() {
        let fresh = Strategy::next(&strategy, &space, &history, Seed::root(1));
        let promoted = matches!(fresh, Some(Proposal { origin: Origin::Promoted { .. }, .. }));
        assert!(fresh.is_none() || promoted, "{}: {fresh:?}", strategy.name());
    }
}

#[test]
fn constants_are_checked() {
    for strategy in all() {
        strategy.check().unwrap();
        let text = serde_json::to_string(&strategy).unwrap();
        assert!(text.contains(strategy.name()), "{text}");
        assert_eq!(serde_json::from_str::<AnyStrategy>(&text).unwrap(), strategy);
    }
    let refused = |strategy: AnyStrategy| strategy.check().unwrap_err().to_string();
    let many = AnyStrategy::Evolution(Evolution { population: 4, tournament: 5 });
    assert!(refused(many).contains("a tournament of 5 in a population of 4"));
    let few = AnyStrategy::Halving(Halving { networks: 8, eta: 3, rungs: 3, longest: 1.0 });
    assert!(refused(few).contains("8 networks leave none for the last of 3 rungs"));
    assert!(
        refused(AnyStrategy::Halving(Halving { networks: 8, eta: 1, rungs: 2, longest: 1.0 }))
            .contains("an eta of at least 2")
    );
    for (predictor, why) in [
        (Predictor { drawn: 1, ..PARTS }, "drawn 1; expected at least 2"),
        (Predictor { pool: 0, ..PARTS }, "a pool of 0"),
        (Predictor { share: 1.5, ..PARTS }, "share 1.5 is no share of a training"),
        (Predictor { share: 1.0, ..PARTS }, "share 1 and full 7"),
        (Predictor { full: 0, ..PARTS }, "share 0.25 and full 0"),
        (Predictor { full: 17, ..PARTS }, "full 17 of 8 drawn and 8 chosen"),
    ] {
        let said = refused(AnyStrategy::Predictor(predictor));
        assert!(said.contains(why), "{said}");
    }
    assert!(serde_json::from_str::<Fidelity>("1.5").is_err() && Fidelity::new(0.0).is_err());
}
