//! The one result of measuring a network: what it did on every sample. Whatever is told of it, in a journal, a ranking, a
//! document or a table, is taken from it.

use serde::{Deserialize, Serialize};

use super::{AttackResult, Evaluation, Sample};
use crate::threat::{AttackPlan, Check, Found};
use crate::units::Tally;

/// A network on samples of a data set, clean and under a plan of attacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// On what.
    pub sample: Sample,
    /// The samples' numbers in the data set, in the order of `found`.
    pub ids: Vec<u32>,
    /// The attacks, fit for the number of classes.
    pub plan: AttackPlan,
    /// Seed of the attacks' random numbers.
    pub seed: u64,
    /// What became of the samples.
    pub found: Found,
    /// Checks raised, each once; a measurement with any is not ranked.
    pub checks: Vec<Check>,
}

impl Measurement {
    /// The counts of it, as records have them.
    pub fn evaluation(&self) -> Evaluation {
        let result = |(i, attack): (usize, &_)| AttackResult { attack: *attack, robust: self.found.under(i) };
        Evaluation {
            sample: self.sample.clone(),
            clean: self.found.clean(),
            gradient_samples: self.plan.gradient_samples,
            attacks: self.plan.attacks.iter().enumerate().map(result).collect(),
            robust: self.found.robust(),
            checks: self.checks.clone(),
            seed: self.seed,
        }
    }

    /// What it says of each sample.
    pub fn flags(&self) -> Flags {
        Flags {
            ids: self.ids.clone(),
            clean: self.found.clean_flags(),
            robust: self.found.robust_flags(),
            attacks: (0..self.found.attacks.len()).map(|i| self.found.attack_flags(i)).collect(),
        }
    }
}

/// Sample by sample, in one order: two networks that were measured on the same samples can be compared in pairs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Flags {
    /// The samples' numbers in the data set.
    pub ids: Vec<u32>,
    /// A digit a sample: 1 right on the clean image.
    pub clean: String,
    /// A digit a sample: 1 right under every attack.
    pub robust: String,
    /// For each attack a digit a sample: 1 right after it, 0 wrong, `-` not given to it.
    pub attacks: Vec<String>,
}

impl Flags {
    /// Holds the flags to the counts of the same measurement.
    ///
    /// # Errors
    /// The first thing in which they differ, in words.
    pub fn check(&self, evaluation: &Evaluation) -> Result<(), String> {
        let count = |what: &str, flags: &str, counted: Tally| {
            let (hit, total) = (flags.matches('1').count() as u64, flags.len() as u64);
            let digits = flags.chars().all(|digit| matches!(digit, '0' | '1' | '-'));
            let Tally { hit: right, total: of } = counted;
            let agree = (hit, total, self.ids.len() as u64) == (right, of, of);
            if digits && agree {
                return Ok(());
            }
            let n = self.ids.len();
            Err(format!("the flags `{what}` of {n} samples show {hit} of {total} right, counted are {right} of {of}"))
        };
        count("clean", &self.clean, evaluation.clean)?;
        count("robust", &self.robust, evaluation.robust)?;
        if self.attacks.len() != evaluation.attacks.len() {
            return Err(format!(
                "there are flags of {} attacks, not of {}",
                self.attacks.len(),
                evaluation.attacks.len()
            ));
        }
        self.attacks.iter().zip(&evaluation.attacks).try_for_each(|(flags, a)| count(&a.attack.name(), flags, a.robust))
    }
}
