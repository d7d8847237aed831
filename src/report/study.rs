//! What a study of search strategies on a table amounts to: how good what they found is, whether that is better than random
//! search of equal trainings and of equal multiply-accumulates, and what the table's columns say of each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::document::{GENERATOR, SCHEMA_VERSION};
use super::table::{Cell, align, number, word};
use crate::error::{Error, Result};
use crate::search::trial::Ledger;
use crate::seed::Seed;
use crate::study::{BestOf, Chosen, Kendall, Moments, Welch, holm, kendall, kendall_within, partial, welch};

/// Random search's name: what the others are compared with.
const RANDOM: &str = "random";

/// The level at which something is called shown.
const LEVEL: f64 = 0.05;

/// The column of sizes that other columns are judged beside.
const SIZE: &str = "params";

/// Columns that are counted, not measured.
const COUNTED: [&str; 2] = [SIZE, "macs"];

/// What was asked of the study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The column that searches make large.
    pub objective: String,
    /// The column by which what they found is judged.
    pub report: String,
    /// Full trainings of a search.
    pub queries: u64,
    /// Searches of each strategy.
    pub repeats: u64,
    /// Standard deviation of what an answer errs by.
    pub noise: f64,
    /// What partial trainings are taken to err by.
    pub partial: Option<f64>,
    /// The seed.
    pub seed: u64,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableFacts {
    /// The beginning of its content's SHA-256.
    pub id: String,
    /// Its networks.
    pub networks: usize,
    /// The mean of the reported column.
    pub mean: f64,
    /// Its largest number.
    pub best: f64,
}

/// All searches of a strategy.
pub struct Searches {
    /// Its name.
    pub strategy: String,
    /// Its constants.
    pub constants: Map<String, Value>,
    /// The searches.
    pub searches: Vec<Search>,
}

/// A search.
pub struct Search {
    /// The reported number of what it found.
    pub found: f64,
    /// What it cost.
    pub ledger: Ledger,
    /// Everything it tried, by what it was told and what is reported.
    pub tried: Vec<Chosen>,
}

/// Why a strategy was left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotAsked {
    /// The strategy.
    pub strategy: String,
    /// Why.
    pub why: String,
}

/// A comparison with a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// The test of "better on average".
    #[serde(flatten)]
    pub welch: Welch,
    /// Its probability, corrected for all strategies that are asked the same (Holm).
    pub p_holm: f64,
    /// What that shows.
    pub verdict: Verdict,
}

/// What a comparison shows, at a level of .05.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Better, by the corrected probability.
    #[strum(serialize = "better")]
    Better,
    /// Neither.
    #[strum(serialize = "not shown")]
    NotShown,
    /// Worse: the whole 95 % interval of the difference is below 0.
    #[strum(serialize = "worse")]
    Worse,
}

/// Random search that costs as many multiply-accumulates: the best of more networks, since the others' networks are larger.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EqualCost {
    /// What it finds.
    #[serde(flatten)]
    pub random: BestOf,
    /// Whether the strategy finds better.
    pub against: Against,
}

/// A strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub strategy: String,
    /// Its constants.
    pub constants: Map<String, Value>,
    /// Mean over all searches of what was found, by the reported column.
    pub mean: f64,
    /// Standard deviation over the searches.
    pub sd: f64,
    /// Standard error of the mean.
    pub error: f64,
    /// Mean number of trials of a search.
    pub trials: f64,
    /// Mean number of full trainings that they amount to.
    pub trainings: f64,
    /// Mean over searches of the multiply-accumulates of one image through every network tried, by its share of a training:
    /// what training costs is proportional to it.
    pub macs: f64,
    /// Beside random search of equal trainings; not for random search itself.
    pub against_random: Option<Against>,
    /// Beside random search of equal multiply-accumulates; not for random search itself.
    pub equal_macs: Option<EqualCost>,
}

/// How a column orders networks, beside the reported one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// The column.
    pub column: String,
    /// Kendall's tau-b over all networks.
    pub all: Kendall,
    /// The part of it that the number of parameters leaves; not for that column itself, nor in a table without it.
    pub given_params: Option<f64>,
    /// Over pairs of equal multiply-accumulates; nothing where the column orders none of them.
    pub equal_macs: Option<Kendall>,
}

/// What chance in training is worth: networks that compute the same and were trained each for itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retest {
    /// Computations that more than one network has.
    pub computations: usize,
    /// The networks that have them.
    pub networks: usize,
    /// For each column in which they differ.
    pub columns: Vec<RetestColumn>,
}

/// The same of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetestColumn {
    /// The column.
    pub column: String,
    /// The standard deviation among networks that compute the same, pooled.
    pub sd: f64,
    /// Kendall's tau-b between two networks of each computation: no proxy can be expected to order these computations better.
    pub tau: Kendall,
}

/// A study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyReport {
    /// The version of this form.
    pub schema_version: u32,
    /// Program and version.
    pub generator: String,
    /// What was asked.
    #[serde(flatten)]
    pub asked: Asked,
    /// Of what.
    pub table: TableFacts,
    /// The strategies, random first.
    pub strategies: Vec<Entry>,
    /// Those that the table cannot answer.
    pub not_asked: Vec<NotAsked>,
    /// The table's columns beside the reported one.
    pub correlations: Vec<Correlation>,
    /// What chance in training is worth, where the table tells.
    pub retest: Option<Retest>,
}

impl StudyReport {
    /// From all searches; `seed` is that of the resamples.
    ///
    /// # Errors
    /// What the tests refuse, such as two strategies that found the same in every search.
    pub fn new(
        asked: Asked,
        table: TableFacts,
        all: Vec<Searches>,
        not_asked: Vec<NotAsked>,
        correlations: Vec<Correlation>,
        retest: Option<Retest>,
        seed: Seed,
    ) -> Result<Self> {
        let random = all.iter().find(|s| s.strategy == RANDOM);
        let random = random.ok_or_else(|| {
            Error::Usage("a study without random search has nothing to compare with; ask for it, too".into())
        })?;
        let control = random.found();
        let drawn: Vec<Chosen> = random.searches.iter().flat_map(|s| s.tried.iter().copied()).collect();
        let macs_of_one = random.mean(|ledger| ledger.training.0 as f64) / random.mean(|ledger| ledger.trials as f64);

        let others: Vec<&Searches> = all.iter().filter(|s| s.strategy != RANDOM).collect();
        let tests = others.iter().map(|s| welch(&s.found(), &control)).collect::<Result<Vec<_>>>()?;
        let mut against = judged(tests).into_iter();
        let equal = |s: &&Searches| {
            let networks = (s.mean(|ledger| ledger.training.0 as f64) / macs_of_one).round() as usize;
            let best = BestOf::new(&drawn, networks.clamp(1, drawn.len()), seed.child(&s.strategy))?;
            Ok((best, best.beaten_by(&s.found())?))
        };
        let (bests, tests): (Vec<BestOf>, Vec<Welch>) =
            others.iter().map(equal).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let mut equal_macs = bests.into_iter().zip(judged(tests));

        let mut strategies = Vec::new();
        for searches in &all {
            let moments = Moments::of(&searches.found())?;
            let compared = searches.strategy != RANDOM;
            strategies.push(Entry {
                strategy: searches.strategy.clone(),
                constants: searches.constants.clone(),
                mean: moments.mean,
                sd: moments.sd,
                error: moments.error_squared().sqrt(),
                trials: searches.mean(|ledger| ledger.trials as f64),
                trainings: searches.mean(|ledger| ledger.trainings),
                macs: searches.mean(|ledger| ledger.training.0 as f64),
                against_random: if compared { against.next() } else { None },
                equal_macs: if compared {
                    equal_macs.next().map(|(random, against)| EqualCost { random, against })
                } else {
                    None
                },
            });
        }
        Ok(StudyReport {
            schema_version: SCHEMA_VERSION,
            generator: GENERATOR.to_owned(),
            asked,
            table,
            strategies,
            not_asked,
            correlations,
            retest,
        })
    }

    /// The tables, with what they show in words. Ends with a newline.
    pub fn text(&self) -> String {
        let Asked { objective, report, queries, repeats, noise, partial, seed } = &self.asked;
        let partial =
            partial.map_or(String::new(), |sd| format!(", partial trainings err by up to {sd} (an assumption)"));
        let mut text = format!(
            "table     {} networks (content {}); {report}: mean {}, best {}\n\
             asked     {repeats} searches of {queries} trainings each, seed {seed}\n\
             objective {objective}, every answer with an error of deviation {noise}{partial}\n\
             found     {report} of the network with the best {objective} that a search was told, without error\n\n",
            self.table.networks,
            self.table.id,
            percent(self.table.mean),
            percent(self.table.best),
        );
        let head = ["found %", "sd", "trials", "GMACs", "against random", "95 %", "p"].map(number);
        let mut rows: Vec<Vec<Cell>> = vec![std::iter::once(word("strategy")).chain(head).collect()];
        rows[0].extend([
            word("verdict"),
            number("random of equal MACs"),
            number("difference"),
            number("p"),
            word("verdict"),
        ]);
        rows.extend(self.strategies.iter().map(Entry::row));
        text.push_str(&align(&rows));
        for NotAsked { strategy, why } in &self.not_asked {
            text.push_str(&format!("{strategy}: not asked; {why}\n"));
        }
        text.push_str(
            "\nGMACs: one image through every network tried. p: one-sided, corrected for the strategies compared (Holm).\n",
        );

        text.push_str(&format!("\nKendall's tau of the table's columns with {report}\n"));
        let head = ["tau", "95 %", "given params", "at equal MACs", "95 %"].map(number);
        let mut rows: Vec<Vec<Cell>> = vec![std::iter::once(word("column")).chain(head).collect()];
        rows.extend(self.correlations.iter().map(Correlation::row));
        text.push_str(&align(&rows));
        if let Some(retest) = &self.retest {
            text.push_str(&format!(
                "\n{} networks compute what another of them does ({} computations): what differs is chance in training\n",
                retest.networks, retest.computations
            ));
            let head = ["sd, points", "tau", "95 %"].map(number);
            let mut rows: Vec<Vec<Cell>> = vec![std::iter::once(word("column")).chain(head).collect()];
            for RetestColumn { column, sd, tau } in &retest.columns {
                let sd = number(&format!("{:.2}", 100.0 * sd));
                rows.push(vec![word(column), sd, number(&format!("{:.3}", tau.tau)), number(&ends(tau))]);
            }
            text.push_str(&align(&rows));
        }
        text
    }
}

impl Searches {
    fn found(&self) -> Vec<f64> {
        self.searches.iter().map(|search| search.found).collect()
    }

    fn mean(&self, of: impl Fn(&Ledger) -> f64) -> f64 {
        self.searches.iter().map(|search| of(&search.ledger)).sum::<f64>() / self.searches.len() as f64
    }
}

impl Entry {
    fn row(&self) -> Vec<Cell> {
        let mut row = vec![
            word(&self.strategy),
            number(&percent(self.mean)),
            number(&percent(self.sd)),
            number(&format!("{:.1}", self.trials)),
            number(&format!("{:.2}", self.macs / 1e9)),
        ];
        if let Some(Against { welch, p_holm, verdict }) = &self.against_random {
            let verdict: &str = verdict.into();
            row.extend([
                number(&format!("{:+.2}", 100.0 * welch.difference)),
                number(&format!("{:+.2}..{:+.2}", 100.0 * welch.low, 100.0 * welch.high)),
                number(&probability(*p_holm)),
                word(verdict),
            ]);
        }
        if let Some(EqualCost { random, against }) = &self.equal_macs {
            let verdict: &str = against.verdict.into();
            row.extend([
                number(&format!("{} (best of {})", percent(random.mean), random.networks)),
                number(&format!("{:+.2}", 100.0 * against.welch.difference)),
                number(&probability(against.p_holm)),
                word(verdict),
            ]);
        }
        row
    }
}

impl Correlation {
    fn row(&self) -> Vec<Cell> {
        let tau = |tau: f64| number(&format!("{tau:.3}"));
        let none = || number("-");
        vec![
            word(&self.column),
            tau(self.all.tau),
            number(&ends(&self.all)),
            self.given_params.map_or_else(none, tau),
            self.equal_macs.as_ref().map_or_else(none, |k| tau(k.tau)),
            self.equal_macs.as_ref().map_or_else(none, |k| number(&ends(k))),
        ]
    }
}

/// Tests that ask the same of several strategies, corrected together.
fn judged(tests: Vec<Welch>) -> Vec<Against> {
    let corrected = holm(&tests.iter().map(|test| test.p).collect::<Vec<_>>());
    let verdict = |welch: &Welch, p: f64| match () {
        () if p < LEVEL => Verdict::Better,
        () if welch.high < 0.0 => Verdict::Worse,
        () => Verdict::NotShown,
    };
    let judged = tests.into_iter().zip(corrected);
    judged.map(|(welch, p_holm)| Against { welch, p_holm, verdict: verdict(&welch, p_holm) }).collect()
}

/// How every other column orders networks beside the reported one.
///
/// # Errors
/// [`Error::Usage`] where the reported column does not tell networks apart.
pub fn correlations(columns: &[(String, Vec<f64>)], report: &str, macs: &[u64]) -> Result<Vec<Correlation>> {
    let told = columns.iter().find(|(name, _)| name == report);
    let (_, told) = told.ok_or_else(|| Error::Internal(format!("no column {report}")))?;
    if told.iter().all(|number| *number == told[0]) {
        return Err(Error::Usage(format!(
            "column `{report}` is {} for every network; expected one that differs",
            told[0]
        )));
    }
    let size = columns.iter().find(|(name, numbers)| name == SIZE && numbers.iter().any(|n| *n != numbers[0]));
    let size = size.map(|(_, size)| Ok::<_, Error>((size, kendall(size, told)?.tau))).transpose()?;
    let vary = |numbers: &[f64]| numbers.iter().any(|number| *number != numbers[0]);
    let others = columns.iter().filter(|(name, numbers)| name != report && vary(numbers));
    others
        .map(|(name, numbers)| {
            let all = kendall(numbers, told)?;
            let given_params = match &size {
                Some((size, with_told)) if name != SIZE => {
                    Some(partial(all.tau, kendall(numbers, size)?.tau, *with_told)).filter(|tau| tau.is_finite())
                }
                _ => None,
            };
            let equal_macs = match kendall_within(numbers, told, macs) {
                Ok(kendall) => Some(kendall),
                Err(Error::Impossible(_)) => None,
                Err(other) => return Err(other),
            };
            Ok(Correlation { column: name.clone(), all, given_params, equal_macs })
        })
        .collect()
}

/// What chance is worth, by networks of one computation; nothing where fewer than three computations are there twice.
pub fn retest(columns: &[(String, Vec<f64>)], computations: &[String]) -> Option<Retest> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (network, computation) in computations.iter().enumerate() {
        groups.entry(computation).or_default().push(network);
    }
    let groups: Vec<Vec<usize>> = groups.into_values().filter(|group| group.len() > 1).collect();
    let networks = groups.iter().map(Vec::len).sum::<usize>();
    let of_column = |(name, numbers): &(String, Vec<f64>)| {
        let squares = |group: &Vec<usize>| {
            let mean = group.iter().map(|i| numbers[*i]).sum::<f64>() / group.len() as f64;
            group.iter().map(|i| (numbers[*i] - mean).powi(2)).sum::<f64>()
        };
        let sd = (groups.iter().map(squares).sum::<f64>() / (networks - groups.len()) as f64).sqrt();
        let of = |place: usize| groups.iter().map(|group| numbers[group[place]]).collect::<Vec<_>>();
        let tau = kendall(&of(0), &of(1)).ok().filter(|_| sd > 0.0)?;
        Some(RetestColumn { column: name.clone(), sd, tau })
    };
    (groups.len() > 2).then(|| Retest {
        computations: groups.len(),
        networks,
        columns: columns.iter().filter(|(name, _)| !COUNTED.contains(&name.as_str())).filter_map(of_column).collect(),
    })
}

fn percent(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

fn ends(tau: &Kendall) -> String {
    format!("{:.3}..{:.3}", tau.low, tau.high)
}

fn probability(p: f64) -> String {
    if p < 0.001 { "< .001".to_owned() } else { format!("{p:.3}").trim_start_matches('0').to_owned() }
}
