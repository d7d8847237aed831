//! A search as TensorBoard's scalars: losses and accuracies by epoch, objectives by trial, accuracies by candidate.

use super::events::Events;
use crate::arch::file::short;
use crate::record::{Outcome, Record, SearchEpoch};
use crate::search::trial::{Outcome as Tried, Phase, TrialLine};
use crate::units::Macs;

/// The event file of a run. `trials` have their budgets, none for those of a supernet; a step is an epoch, or the number of a
/// trial or candidate at its budget.
pub fn scalars(epochs: &[SearchEpoch], trials: &[(Option<Macs>, &TrialLine)], records: &[Record]) -> Vec<u8> {
    let mut events = Events::new();
    epochs.iter().for_each(|epoch| events.scalars(epoch.epoch, &of_epoch(epoch)));
    let mut numbers = Numbers::default();
    for (budget, trial) in trials {
        let Tried::Measured { objective } = trial.answer.outcome else { continue };
        let at = budget.map_or("supernet".to_owned(), |budget| budget.to_string());
        let tag = match trial.phase {
            Phase::Score => format!("trials/{at}/inherited"),
            Phase::Train => format!("trials/{at}/{:.3} of a training", trial.fidelity.share()),
        };
        events.scalars(numbers.next(&tag), &[(&tag, objective)]);
    }
    for record in records {
        let Outcome::Ok { training, validation, test, .. } = &record.outcome else { continue };
        let curve = format!("training/{} {} {}/loss", record.budget, record.origin.word(), short(&record.arch));
        (1..).zip(&training.losses).for_each(|(epoch, loss)| events.scalars(epoch, &[(&curve, *loss)]));
        let tag =
            |split: &str, what: &str| format!("candidates/{} {}/{split} {what}", record.budget, record.origin.word());
        let step = numbers.next(&tag("", ""));
        for (split, found) in [("validation", Some(validation)), ("test", test.as_ref())] {
            if let Some(found) = found {
                let (clean, robust) = (tag(split, "clean"), tag(split, "robust"));
                events.scalars(step, &[(&clean, found.clean.rate()), (&robust, found.robust.rate())]);
            }
        }
    }
    events.into_bytes()
}

/// The scalars of an epoch, as far as it has them.
fn of_epoch(epoch: &SearchEpoch) -> Vec<(&str, f64)> {
    let always = [
        ("search/loss of weights", epoch.weight_loss),
        ("search/clean", epoch.clean.rate()),
        ("search/under attack", epoch.adversarial.rate()),
    ];
    let some = [
        ("search/natural loss", epoch.natural_loss),
        ("search/adversarial loss", epoch.adversarial_loss),
        ("search/gamma", epoch.gamma),
        ("search/architecture moved", epoch.alpha_moved),
        ("search/random walk", epoch.random_walk),
        ("search/dominant eigenvalue", epoch.eigenvalue),
    ];
    always.into_iter().chain(some.into_iter().filter_map(|(tag, value)| Some((tag, value?)))).collect()
}

/// Counts what goes under each name, from 0.
#[derive(Default)]
struct Numbers(std::collections::BTreeMap<String, u32>);

impl Numbers {
    fn next(&mut self, name: &str) -> u32 {
        let next = self.0.entry(name.to_owned()).or_default();
        *next += 1;
        *next - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::events::scalars_of;
    use crate::search::trial::{Answer, Fidelity, Origin, Spent};
    use crate::units::Tally;

    #[test]
    fn epochs_and_trials_are_curves() {
        let tally = |hit| Tally { hit, total: 4 };
        let epoch = |epoch| SearchEpoch {
            epoch,
            stage: 1,
            weight_loss: 2.0,
            natural_loss: None,
            adversarial_loss: Some(1.5),
            gamma: None,
            clean: tally(2),
            adversarial: tally(1),
            alpha_moved: None,
            random_walk: None,
            cells: Vec::new(),
            eigenvalue: None,
            collapsed: false,
        };
        let spent = Spent { trainings: 0.5, training: Macs(1), evaluation: Macs(1) };
        let line = |outcome| TrialLine {
            phase: Phase::Train,
            genotype: "g".into(),
            fidelity: Fidelity::new(0.5).unwrap(),
            origin: Origin::Drawn,
            answer: Answer { outcome, spent },
        };
        let of = |objective| line(Tried::Measured { objective });
        let (first, failed, second) = (of(0.25), line(Tried::Failed { reason: "small".into() }), of(0.5));
        let at = Some(Macs(2_000_000));
        let trials = [(at, &first), (at, &failed), (at, &second)];
        let found = scalars_of(&scalars(&[epoch(1), epoch(2)], &trials, &[]));
        let of = |tag: &str| -> Vec<(i64, f32)> {
            found.iter().filter(|(own, ..)| own == tag).map(|(_, step, value)| (*step, *value)).collect()
        };
        assert_eq!(of("search/under attack"), [(1, 0.25), (2, 0.25)]);
        assert_eq!(of("search/adversarial loss"), [(1, 1.5), (2, 1.5)]);
        assert_eq!(of("trials/2.00M/0.500 of a training"), [(0, 0.25), (1, 0.5)]);
        assert!(of("search/gamma").is_empty());
    }
}
