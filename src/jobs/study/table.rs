//! A study of search strategies on a table: every strategy searches many times, and what it found is judged by a column that it
//! did not see.

use std::path::PathBuf;

use rayon::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::arch::nb201::Nb201Cell;
use crate::error::{Error, IoContext, Result};
use crate::report::study::{Asked, NotAsked, Search, Searches, StudyReport, TableFacts, correlations, retest};
use crate::search::evaluator::{Column, Lookup, Table};
use crate::search::strategy::{AnyStrategy, step};
use crate::search::trial::History;
use crate::seed::Seed;
use crate::study::Chosen;

/// What the user asked for.
pub struct Job {
    /// The table.
    pub table: PathBuf,
    /// The strategies, random search among them, since the others are compared with it.
    pub strategies: Vec<AnyStrategy>,
    /// The column that searches make large.
    pub objective: String,
    /// The column that what they found is judged by.
    pub report: String,
    /// Full trainings of a search.
    pub queries: u64,
    /// Searches of each strategy.
    pub repeats: u64,
    /// Standard deviation of what an answer errs by.
    pub noise: f64,
    /// What partial trainings err by ([`Lookup::partial`]); without it, strategies with partial trainings are not asked.
    pub partial: Option<f64>,
    /// The seed of everything.
    pub seed: u64,
}

/// Reads the table and compares the strategies on it. The report does not depend on the number of threads.
///
/// # Errors
/// [`Error::Io`] and what [`Table::parse`] refuses; [`Error::Usage`] for columns that the table does not have and numbers that
/// are none.
pub fn run(job: &Job) -> Result<StudyReport> {
    let bytes = std::fs::read(&job.table).at(&job.table)?;
    let id: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let text = crate::error::utf8(bytes, &job.table)?;
    study(job, &Table::parse(&text, &job.table)?, id)
}

/// The study on a table that was read; `id` names its content.
fn study(job: &Job, table: &Table, id: String) -> Result<StudyReport> {
    let (objective, report) = (table.column(&job.objective)?, table.column(&job.report)?);
    for (name, sd) in [("noise", Some(job.noise)), ("partial", job.partial)] {
        if let Some(sd) = sd.filter(|sd| !(sd.is_finite() && *sd >= 0.0)) {
            return Err(Error::Usage(format!("--{name} {sd}: expected a standard deviation, 0 or more")));
        }
    }
    let seed = Seed::root(job.seed).child("study");
    let (mut asked, mut not_asked) = (Vec::new(), Vec::new());
    for strategy in &job.strategies {
        if strategy.trains_in_part() && job.partial.is_none() {
            let why = "the table knows nothing of partial trainings; --partial says what they err by";
            not_asked.push(NotAsked { strategy: strategy.name().to_owned(), why: why.to_owned() });
            continue;
        }
        let searches = searches(table, strategy, objective, report, job, seed)?;
        asked.push(Searches { strategy: strategy.name().to_owned(), constants: constants(strategy)?, searches });
    }
    let judged: Vec<f64> = table.numbers(report).collect();
    let facts = TableFacts {
        id,
        networks: judged.len(),
        mean: judged.iter().sum::<f64>() / judged.len() as f64,
        best: judged.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    };
    let question = Asked {
        objective: job.objective.clone(),
        report: job.report.clone(),
        queries: job.queries,
        repeats: job.repeats,
        noise: job.noise,
        partial: job.partial,
        seed: job.seed,
    };
    let columns: Vec<(String, Vec<f64>)> = table
        .columns()
        .iter()
        .map(|name| Ok((name.clone(), table.numbers(table.column(name)?).collect())))
        .collect::<Result<_>>()?;
    let macs: Vec<u64> = table.macs().map(|macs| macs.0).collect();
    let correlations = correlations(&columns, &job.report, &macs)?;
    let retest = retest(&columns, &table.cells().map(Nb201Cell::computation).collect::<Vec<_>>());
    StudyReport::new(question, facts, asked, not_asked, correlations, retest, seed.child("resamples"))
}

/// Every search of a strategy, each with a seed of its own.
///
/// # Errors
/// [`Error::Usage`] for constants that no search can have, and whatever a search fails with.
fn searches(
    table: &Table,
    strategy: &AnyStrategy,
    objective: Column,
    report: Column,
    job: &Job,
    seed: Seed,
) -> Result<Vec<Search>> {
    strategy.check()?;
    let seed = seed.child(strategy.name());
    let search = |repeat: u64| {
        let seed = seed.index(repeat);
        let mut lookup =
            Lookup { table, objective, noise: job.noise, partial: job.partial, seed: seed.child("errors") };
        let mut history = History::default();
        let trainings = job.queries as f64;
        while step(strategy, table.space(), &mut lookup, trainings, seed.child("search"), &mut history)? {}
        let judged = |arch: &Nb201Cell| table.number(report, arch);
        let best = history.best().ok_or_else(|| Error::Internal("a search on a table found nothing".into()))?;
        let tried =
            history.trials().iter().map(|trial| Chosen { by: trial.objective(), told: judged(&trial.proposal.arch) });
        Ok(Search { found: judged(&best.proposal.arch), ledger: history.ledger(), tried: tried.collect() })
    };
    (0..job.repeats).into_par_iter().map(search).collect()
}

/// A strategy's constants, without its name.
fn constants(strategy: &AnyStrategy) -> Result<serde_json::Map<String, Value>> {
    match serde_json::to_value(strategy) {
        Ok(Value::Object(mut map)) => {
            map.remove("strategy");
            Ok(map)
        }
        other => Err(Error::Internal(format!("a strategy's constants are no object: {other:?}"))),
    }
}
