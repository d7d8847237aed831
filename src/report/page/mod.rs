//! Runs as one page: verdicts, frontier, tables, curves, drawings, configuration. The page needs no other file and no
//! network, and can be read without scripts.

mod choices;
mod curves;
mod table;

use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;

use super::choices::{EdgeShares, moved};
use super::document::GENERATOR;
use super::frontier::Frontier;
use super::plot::linked;
use super::protocol::list;
use super::ranked::Ranked;
use super::{blocks, cells, row};
use crate::arch::file::ArchFile;
use crate::arch::net::Net;
use crate::error::{Error, Result};
use crate::record::SearchEpoch;

/// What a page shows of a run.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// Its name.
    pub name: String,
    /// Its ranking.
    pub ranked: Ranked,
    /// The epochs of its search.
    pub epochs: Vec<SearchEpoch>,
    /// What the search ended with, edge by edge; empty while it goes on.
    pub choices: Vec<EdgeShares>,
    /// Its trials at each budget, in words.
    pub trials: Vec<String>,
    /// Its networks.
    pub networks: Vec<(ArchFile, Net)>,
    /// What it cost.
    pub ledger: Vec<LedgerRow>,
    /// Its configuration as TOML.
    pub config: String,
    /// Where, when and from what it was made.
    pub provenance: Vec<(String, String)>,
}

/// What a part of a run cost.
#[derive(Clone, Debug, Serialize)]
pub struct LedgerRow {
    /// The part.
    pub part: String,
    /// How it was counted.
    pub how: String,
    /// Multiply-accumulates.
    pub macs: f64,
}

/// What the template is given.
#[derive(Serialize)]
struct Values<'a> {
    title: String,
    generator: &'static str,
    style: &'static str,
    script: &'static str,
    frontier: String,
    runs: Vec<RunPart<'a>>,
}

/// What it is given of a run.
#[derive(Serialize)]
struct RunPart<'a> {
    name: &'a str,
    verdicts: Vec<(String, String)>,
    decision: Option<String>,
    facts: Vec<(&'static str, String)>,
    budgets: Vec<table::BudgetTable>,
    curves: Option<String>,
    choices: Vec<String>,
    trials: &'a [String],
    trainings: Option<String>,
    networks: Vec<Drawn<'a>>,
    ledger: Vec<(&'a str, &'a str, String)>,
    config: &'a str,
    provenance: &'a [(String, String)],
}

/// A network's part of the page.
#[derive(Serialize)]
struct Drawn<'a> {
    anchor: String,
    id: &'a str,
    summary: &'a str,
    cost: String,
    pictures: Vec<String>,
    measured: Vec<table::Measured>,
}

/// The page as HTML. The same facts give the same bytes.
///
/// # Errors
/// Those of [`linked`].
pub fn page(frontier: &Frontier, runs: &[RunFacts]) -> Result<String> {
    let frontier = linked(frontier, &|run, point| format!("#{}", anchor(run, &point.arch)))?;
    let parts: Vec<RunPart<'_>> = runs.iter().enumerate().map(|(i, run)| part(i, run)).collect();
    let names: Vec<&str> = runs.iter().map(|run| &run.name[..]).collect();
    let mut environment = Environment::new();
    let unusable = |e: minijinja::Error| Error::Internal(format!("the page's template: {e:#}"));
    environment.add_template("page.html", include_str!("page.html")).map_err(unusable)?;
    let template = environment.get_template("page.html").map_err(unusable)?;
    let (style, script) = (include_str!("page.css"), include_str!("page.js"));
    let title = format!("robustnas: {}", names.join(", "));
    let values = Values { title, style, script, frontier, runs: parts, generator: GENERATOR };
    template.render(Serde(&values)).map_err(unusable)
}

/// The place of a network on the page.
fn anchor(run: usize, arch: &str) -> String {
    format!("run{run}-{arch}")
}

fn part(i: usize, run: &RunFacts) -> RunPart<'_> {
    let RunFacts { name, ranked, epochs, choices, trials, networks, ledger, config, provenance } = run;
    let verdicts = ranked.budgets.iter().map(|budget| {
        let sentence = budget.controls.as_ref().map_or("Nothing is ranked yet.", |controls| &controls.sentence);
        (budget.budget.to_string(), sentence.to_owned())
    });
    let mut drawn = Vec::with_capacity(networks.len());
    for (file, net) in networks {
        drawn.push(Drawn {
            anchor: anchor(i, &file.id),
            id: &file.id,
            summary: &file.summary,
            cost: format!("{} parameters, {} MACs ({})", file.cost.params, file.cost.macs, file.cost.rule),
            pictures: pictures(file, net, networks),
            measured: table::measured(ranked, &file.id),
        });
    }
    RunPart {
        name,
        verdicts: verdicts.collect(),
        decision: decision(epochs),
        facts: facts(ranked),
        budgets: table::budgets(ranked, i),
        curves: curves::curves(epochs).map(|svg| svg.finish()),
        choices: [choices::shares(choices), choices::decided(epochs, choices)]
            .into_iter()
            .flatten()
            .map(|s| s.finish())
            .collect(),
        trials,
        trainings: curves::trainings(ranked).map(|svg| svg.finish()),
        networks: drawn,
        ledger: ledger.iter().map(|row| (&row.part[..], &row.how[..], scientific(row.macs))).collect(),
        config,
        provenance,
    }
}

/// Whether the architecture parameters moved more than steps of random signs would have brought them.
fn decision(epochs: &[SearchEpoch]) -> Option<String> {
    let (moved, walk) = moved(epochs)?;
    let verdict = if moved > walk { "further than" } else { "no further than" };
    let kinds = epochs.last().into_iter().flat_map(|epoch| &epoch.cells);
    let kinds: Vec<String> =
        kinds.filter_map(|cell| cell.moved.map(|moved| format!("{} {moved:.3}", cell.kind))).collect();
    let each = if kinds.is_empty() { String::new() } else { format!("; {}", kinds.join(", ")) };
    Some(format!(
        "The architecture parameters moved {moved:.3} (root mean square), {verdict} a random walk of as many steps \
         ({walk:.3}){each}."
    ))
}

fn facts(ranked: &Ranked) -> Vec<(&'static str, String)> {
    let protocol = &ranked.protocol;
    let mut facts = Vec::new();
    if let Some(sample) = &protocol.data {
        let images = format!(
            "{} {}, n = {} (content {}, indices {})",
            sample.data, sample.split, sample.n, sample.data_id, sample.index_id
        );
        facts.push(("ranked on", images));
        facts.push(("attacks", list(&protocol.attacks)));
    }
    facts.push(("counts", protocol.counting_rule.clone()));
    facts.push(("seed", ranked.seed.to_string()));
    facts
}

/// The drawings of a network. Networks of several sizes share cells, which are drawn with the first of them.
fn pictures(file: &ArchFile, net: &Net, all: &[(ArchFile, Net)]) -> Vec<String> {
    let (Some(genotype), Some(skeleton)) = (&file.genotype, &file.skeleton) else {
        return vec![blocks::draw(&file.summary, net).finish()];
    };
    let mut pictures = vec![row::draw(skeleton).finish()];
    match all.iter().find(|(other, _)| other.genotype.as_ref() == Some(genotype)) {
        Some((first, _)) if first.id != file.id => {
            pictures.push(format!("<p>Its cells are those of {}.</p>", first.id))
        }
        _ => pictures.push(cells::draw(genotype).finish()),
    }
    pictures
}

/// A count as people write large ones: `3.2e15`.
fn scientific(macs: f64) -> String {
    format!("{macs:.2e}")
}
