//! The three questions of a study, declared before it: is what a strategy finds better than networks drawn at random, than
//! random search of equal cost, than the network that people would take?

use serde::{Deserialize, Serialize};

use super::{Cost, Network};
use crate::error::{Error, Result};
use crate::seed::Seed;
use crate::study::{BestOf, Chosen, Measured, Welch, holm, mann_whitney, welch, welch_adjusted};

/// The level at which something is called shown.
const LEVEL: f64 = 0.05;

/// A question with its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Welch's test, for the first question at equal multiply-accumulates where they differ.
    #[serde(flatten)]
    pub welch: Welch,
    /// Whether the logarithm of the multiply-accumulates was taken into account.
    pub at_equal_macs: bool,
    /// The exact test of Mann and Whitney, where there are two groups.
    pub mann_whitney: Option<f64>,
    /// How many random networks the cost of a search buys, for the second question.
    pub networks: Option<usize>,
    /// Whether these are chosen by one training and told by another, as what searches found is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trained_anew: bool,
    /// What the comparison is with: a mean of robust accuracies.
    pub against: f64,
    /// The probability of Welch's test, corrected for all questions of the study (Holm).
    pub p_holm: f64,
    /// What it shows.
    pub verdict: Verdict,
}

/// What a question shows, at a level of .05.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Better, by the corrected probability.
    Better,
    /// Neither.
    NotShown,
    /// Worse: the whole 95 % interval of the difference is below 0.
    Worse,
}

impl Verdict {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::NotShown => "not shown",
            Verdict::Worse => "worse",
        }
    }
}

/// A strategy's three questions; nothing where there are too few numbers yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// A: better than random sampling?
    pub sampling: Option<Question>,
    /// B: better than random search of equal cost?
    pub equal_cost: Option<Question>,
    /// C: better than the hand-made network?
    pub hand_made: Option<Question>,
}

impl Asked {
    /// Asks about what searches found, a number each: the mean of its trainings. `price` is what a random network costs.
    ///
    /// # Errors
    /// What the tests refuse beyond too few numbers.
    pub(super) fn new(
        found: &[&Network],
        random: &[&Network],
        hand_made: &[f64],
        costs: &[Cost],
        price: Option<f64>,
        seed: Seed,
    ) -> Result<Self> {
        let own: Vec<f64> = found.iter().filter_map(|n| n.mean()).collect();
        let others: Vec<f64> = random.iter().filter_map(|n| n.first()).collect();
        let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len().max(1) as f64;

        let measured = |networks: &[&Network], value: fn(&Network) -> Option<f64>| -> Vec<Measured> {
            let one = |n: &&Network| Some(Measured { value: value(n)?, covariate: (n.network.macs.0 as f64).ln() });
            networks.iter().filter_map(one).collect()
        };
        let adjusted = known(welch_adjusted(&measured(found, Network::mean), &measured(random, Network::first)))?;
        let plain = known(welch(&own, &others))?;
        let ranks = if own.is_empty() || others.is_empty() { None } else { Some(mann_whitney(&own, &others)?) };
        let sampling = adjusted.or(plain).map(|welch| {
            let against = mean(&own) - welch.difference;
            Question { mann_whitney: ranks, at_equal_macs: adjusted.is_some(), ..Question::new(welch, against) }
        });

        let spent = costs.iter().map(|cost| (cost.training + cost.evaluation) as f64).sum::<f64>();
        let networks = price.map(|price| (spent / costs.len().max(1) as f64 / price).round() as usize);
        // What a search found is told by trainings behind that by which it was chosen; so are random networks, where all of
        // them were trained again.
        let trained_anew = random.iter().all(|n| n.again().is_some());
        let told = |n: &&Network| if trained_anew { n.again() } else { n.first() };
        let drawn: Vec<Chosen> =
            random.iter().filter_map(|n| Some(Chosen { by: n.objective?, told: told(n)? })).collect();
        let equal_cost = match networks.map(|n| n.max(1)) {
            Some(networks) if networks <= drawn.len() && own.len() > 1 => {
                let best = BestOf::new(&drawn, networks, seed)?;
                let asked = known(best.beaten_by(&own))?;
                asked.map(|welch| Question {
                    networks: Some(networks),
                    trained_anew,
                    ..Question::new(welch, best.mean)
                })
            }
            _ => None,
        };

        let against_hand_made = known(welch(&own, hand_made))?.map(|welch| {
            let ranks = mann_whitney(&own, hand_made).ok();
            Question { mann_whitney: ranks, ..Question::new(welch, mean(hand_made)) }
        });
        Ok(Asked { sampling, equal_cost, hand_made: against_hand_made })
    }

    /// Those that can be asked, with their letters.
    pub fn each(&self) -> impl Iterator<Item = (char, &Question)> {
        let Asked { sampling, equal_cost, hand_made } = self;
        let all = [('A', sampling), ('B', equal_cost), ('C', hand_made)];
        all.into_iter().filter_map(|(letter, question)| question.as_ref().map(|question| (letter, question)))
    }

    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut Question> {
        let Asked { sampling, equal_cost, hand_made } = self;
        [sampling, equal_cost, hand_made].into_iter().flatten()
    }
}

impl Question {
    fn new(welch: Welch, against: f64) -> Self {
        Question {
            p_holm: welch.p,
            welch,
            at_equal_macs: false,
            mann_whitney: None,
            networks: None,
            trained_anew: false,
            against,
            verdict: Verdict::NotShown,
        }
    }
}

/// A test's result; nothing where there are too few numbers, or none that differ.
fn known<T>(tested: Result<T>) -> Result<Option<T>> {
    match tested {
        Ok(found) => Ok(Some(found)),
        Err(Error::Impossible(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Corrects all questions of a study together, and says what each shows.
pub(super) fn correct<'a>(questions: impl Iterator<Item = &'a mut Question>) {
    let questions: Vec<&mut Question> = questions.collect();
    let corrected = holm(&questions.iter().map(|question| question.welch.p).collect::<Vec<_>>());
    for (question, p) in questions.into_iter().zip(corrected) {
        question.p_holm = p;
        question.verdict = match () {
            () if p < LEVEL => Verdict::Better,
            () if question.welch.high < 0.0 => Verdict::Worse,
            () => Verdict::NotShown,
        };
    }
}
