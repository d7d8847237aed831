//! What the trials of a search say, budget by budget, in words.

use crate::search::trial::{Outcome, Phase, TrialLine};
use crate::study::kendall;
use crate::units::Macs;

/// The trials at a budget in a sentence or two: how many, what they cost, how good they are, and whether earlier scores foretold
/// that. `scores` are of the same search, `trials` of the budget; nothing where no network was trained there.
pub fn sentence(budget: Macs, scores: &[&TrialLine], trials: &[&TrialLine]) -> Option<String> {
    let trained: Vec<&&TrialLine> = trials.iter().filter(|trial| trial.phase == Phase::Train).collect();
    let spent: f64 = trained.iter().map(|trial| trial.answer.spent.trainings).sum();
    let longest = trained.iter().map(|trial| trial.fidelity.share()).fold(0.0, f64::max);
    let last = trained.iter().filter(|trial| trial.fidelity.share() == longest);
    let mut best: Vec<f64> = last.filter_map(|trial| objective(trial)).collect();
    best.sort_by(|a, b| b.total_cmp(a));
    let mut words = format!(
        "{budget}: {} trials by training, {spent:.2} full trainings in all; {} of {longest:.2} of a training",
        (!trained.is_empty()).then_some(trained.len())?,
        best.len()
    );
    if let (Some(first), Some(last)) = (best.first(), best.last()) {
        words += &format!(" have objectives from {first:.3} down to {last:.3}");
    }
    // Each genotype once, as its first trial found it: later rungs have the best alone.
    let mut known: Vec<&str> = Vec::new();
    let (mut pairs, mut drawn): (Vec<(f64, f64)>, Vec<f64>) = (Vec::new(), Vec::new());
    for trial in trained {
        let Some(found) = objective(trial).filter(|_| !known.contains(&&trial.genotype[..])) else { continue };
        known.push(&trial.genotype);
        match scores.iter().find(|score| score.phase == Phase::Score && score.genotype == trial.genotype) {
            Some(score) => pairs.extend(objective(score).map(|score| (score, found))),
            None => drawn.push(found),
        }
    }
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    if !y.is_empty() && !drawn.is_empty() {
        let mean = |found: &[f64]| found.iter().sum::<f64>() / found.len() as f64;
        words += &format!(
            ". The first trials of the {} that have a score have {:.3} on average, those of the {} that were drawn at random {:.3}",
            y.len(),
            mean(&y),
            drawn.len(),
            mean(&drawn)
        );
    }
    if let Ok(found) = kendall(&x, &y) {
        words += &format!(
            ". The scores in inherited weights order {} of them with Kendall's tau {:.2} ({:.2} to {:.2})",
            x.len(),
            found.tau,
            found.low,
            found.high
        );
    }
    Some(words + ".")
}

fn objective(trial: &TrialLine) -> Option<f64> {
    match trial.answer.outcome {
        Outcome::Measured { objective } => Some(objective),
        Outcome::Failed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::trial::{Answer, Fidelity, Origin, Spent};

    fn line(phase: Phase, genotype: &str, share: f64, objective: f64) -> TrialLine {
        let spent = Spent { trainings: share, training: Macs(1), evaluation: Macs(1) };
        let answer = Answer { outcome: Outcome::Measured { objective }, spent };
        let fidelity = Fidelity::new(share).unwrap();
        TrialLine { phase, genotype: genotype.into(), fidelity, origin: Origin::Drawn, answer }
    }

    #[test]
    fn trials_in_words() {
        let names = ["a", "b", "c", "d"];
        let scores: Vec<TrialLine> =
            names.iter().zip(1..).map(|(g, i)| line(Phase::Score, g, 1.0, f64::from(i))).collect();
        let mut trials: Vec<TrialLine> =
            names.iter().zip(1..).map(|(g, i)| line(Phase::Train, g, 0.25, 0.1 * f64::from(i))).collect();
        trials.push(line(Phase::Train, "d", 0.5, 0.6));
        trials.push(line(Phase::Train, "c", 0.5, 0.7));
        let (scores, trials): (Vec<&TrialLine>, Vec<&TrialLine>) = (scores.iter().collect(), trials.iter().collect());
        let told = sentence(Macs(4_000_000), &scores, &trials).unwrap();
        assert!(
            told.starts_with("4.00M: 6 trials by training, 2.00 full trainings in all; 2 of 0.50 of a training"),
            "{told}"
        );
        assert!(
            told.contains("from 0.700 down to 0.600") && told.contains("order 4 of them with Kendall's tau 1.00"),
            "{told}"
        );
        assert!(!told.contains("drawn at random"), "{told}");
        let told = sentence(Macs(4_000_000), &scores[2..], &trials).unwrap();
        assert!(
            told.contains(
                "the 2 that have a score have 0.350 on average, those of the 2 that were drawn at random 0.150"
            ),
            "{told}"
        );
        assert_eq!(sentence(Macs(1), &scores, &[]), None);
    }
}
