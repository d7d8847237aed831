//! The genotypes that a run's search found, from its journal alone, so that all its workers see the same ones.

use std::path::Path;

use crate::arch::genotype::Genotype;
use crate::config::Config;
use crate::config::strategy::Method;
use crate::error::{Error, Result};
use crate::jobs::candidates::from_mixture;
use crate::search::distribution::Alpha;
use crate::seed::Seed;
use crate::store::event::{self, Event};

/// The genotypes of each budget, in the configuration's order; nothing while the search is not over. The last list may be
/// empty where the trials of its budget have no result.
///
/// # Errors
/// [`Error::Data`] for a genotype in the journal that is none; [`Error::Internal`] for a budget that it does not have.
pub(super) fn genotypes(config: &Config, seed: Seed, events: &[Event]) -> Result<Option<Vec<Vec<Genotype>>>> {
    if config.search.trials.is_some() {
        let Some(found) = event::found(events) else { return Ok(None) };
        let of = |budget| {
            let found = found.iter().find(|found| found.budget == budget);
            let found =
                found.ok_or_else(|| Error::Internal(format!("the trials' result lacks the budget {budget}")))?;
            parsed(&found.genotypes)
        };
        return config.budgets.iter().map(|budget| of(*budget)).collect::<Result<_>>().map(Some);
    }
    debug_assert_eq!(config.search.strategy, Method::TwoStage, "the others choose by trials");
    let Some(alpha) = event::alpha(events) else { return Ok(None) };
    let list = match event::selected(events) {
        Some(genotypes) => parsed(genotypes)?,
        // Runs of versions that had no other selection.
        None => from_mixture(config, &Alpha(alpha.to_vec()), seed),
    };
    Ok(Some(vec![list; config.budgets.len()]))
}

fn parsed(genotypes: &[String]) -> Result<Vec<Genotype>> {
    genotypes.iter().map(|text| Genotype::parse(text, Path::new("journal.jsonl"))).collect()
}
