//! The page of runs, from what their folders hold.

use std::path::Path;

use super::state::{self, State};
use super::strategy::supernet::forwards;
use crate::arch::cost::cost;
use crate::arch::families::cells::supernet;
use crate::arch::file::ArchFile;
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::config::Config;
use crate::error::{IoContext, Result};
use crate::record::{OriginKind, Outcome, Record, SearchEpoch};
use crate::report::frontier::Frontier;
use crate::report::page::{self, LedgerRow, RunFacts};
use crate::report::protocol::Split;
use crate::report::ranked::Ranked;
use crate::report::trials;
use crate::search::trial::{Phase, Spent};
use crate::store::event::{self, Event};
use crate::threat::Attack;
use crate::units::Macs;

/// Runs as one HTML page, on the images of a split. It reads the folders alone, also while a run works.
///
/// # Errors
/// Those of [`State::read`] and [`Frontier::combine`].
pub fn page(runs: &[&Path], split: Split) -> Result<String> {
    let facts = runs.iter().map(|run| facts(run)).collect::<Result<Vec<_>>>()?;
    let named: Vec<(&str, &Ranked)> = facts.iter().map(|run| (&run.name[..], &run.ranked)).collect();
    page::page(&Frontier::combine(&named, split)?, &facts)
}

fn facts(folder: &Path) -> Result<RunFacts> {
    let State { file, text, config, events, epochs, alpha, records, .. } = State::read(folder)?;
    let mut networks: Vec<(ArchFile, Net)> = Vec::new();
    for record in &records {
        if networks.iter().all(|(known, _)| known.id != record.arch) {
            let path = folder.join("archs").join(&record.arch).join("arch.json");
            networks.push(ArchFile::from_json(&std::fs::read_to_string(&path).at(&path)?, &path)?);
        }
    }
    let mut machine = format!("{}, {}", file.host.name, file.host.system);
    if let Some(instructions) = &file.host.instructions {
        machine += &format!(", {instructions} (others round otherwise)");
    }
    let image = networks.first().map(|(file, _)| (file.image, file.classes));
    Ok(RunFacts {
        name: state::name(folder),
        ranked: Ranked::new(file.seed, &records)?,
        choices: alpha.map(|alpha| state::shares(&config, &alpha)).unwrap_or_default(),
        ledger: ledger(&config, &events, &epochs, &records, image)?,
        trials: trials(&config, &events),
        epochs,
        networks,
        config: text,
        provenance: vec![
            ("command".into(), file.host.argv.join(" ")),
            ("version".into(), format!("robustnas {}", file.host.build.unwrap_or(file.created_by_version))),
            ("seed".into(), file.seed.to_string()),
            ("data".into(), format!("{} (content {})", file.data, file.data_id)),
            ("machine".into(), machine),
        ],
    })
}

/// The trials at each budget in words.
fn trials(config: &Config, events: &[Event]) -> Vec<String> {
    let of = |at: Option<Macs>| event::trials(events, at).collect::<Vec<_>>();
    let sentence = |budget: &Macs| {
        let own = of(Some(*budget));
        let scores = if own.iter().any(|trial| trial.phase == Phase::Score) { own.clone() } else { of(None) };
        trials::sentence(*budget, &scores, &own)
    };
    config.budgets.iter().filter_map(sentence).collect()
}

/// What the parts of a run cost, in multiply-accumulates: forward passes of an image, a backward pass counted as as many
/// as it has gradients (in activations, in weights).
fn ledger(
    config: &Config,
    events: &[Event],
    epochs: &[SearchEpoch],
    records: &[Record],
    image: Option<(Shape, usize)>,
) -> Result<Vec<LedgerRow>> {
    let mut rows = Vec::new();
    let trained: Vec<(&Record, f64)> = records
        .iter()
        .filter_map(|record| match &record.outcome {
            Outcome::Ok { training, .. } => Some((record, f64::from(training.epochs) * training.samples as f64)),
            Outcome::Failed { .. } => None,
        })
        .collect();
    if let (Some((image, classes)), Some((_, shown)), false) = (image, trained.first(), epochs.is_empty()) {
        let net = supernet(&config.supernet_skeleton(image, classes)?, &config.mix_layout())?;
        let macs = cost(&net).macs;
        // The images that candidates train on are the search's two parts.
        let weights = config.split.weights_share * shown / f64::from(config.retrain.epochs.max(1));
        let forwards: f64 = epochs.iter().map(|epoch| forwards(config, epoch.stage)).sum();
        rows.push(LedgerRow {
            part: format!("search, {} epochs", epochs.len()),
            how: format!(
                "{macs} MACs of the supernet, {weights:.0} images an epoch, {forwards:.0} forward passes an image in all"
            ),
            macs: macs.0 as f64 * weights * forwards,
        });
    }
    let trials_at = |at: Option<Macs>| event::trials(events, at).map(|trial| trial.answer.spent).collect::<Vec<_>>();
    let macs = |spent: Spent| (spent.training.0 + spent.evaluation.0) as f64;
    let selection = event::search_spent(events).map_or(0.0, |spent| spent.evaluation.0 as f64);
    let scores = trials_at(None);
    if selection > 0.0 || !scores.is_empty() {
        rows.push(LedgerRow {
            part: format!("selection and {} scores in the supernet", scores.len()),
            how: "forward passes of the supernet on held-out images, one or two an image and mixture, and attacks"
                .into(),
            macs: selection + scores.into_iter().map(macs).sum::<f64>(),
        });
    }
    for budget in &config.budgets {
        let (trials, shared) = (trials_at(Some(*budget)), event::shared(events, *budget));
        if !trials.is_empty() || shared.is_some() {
            rows.push(LedgerRow {
                part: format!("{} trials at {budget}", trials.len()),
                how: "training and measuring, in part or in full, and weights that networks share".into(),
                macs: trials.into_iter().chain(shared).map(macs).sum(),
            });
        }
    }
    let forwards = config.retrain.passes().forwards();
    for kind in OriginKind::ALL {
        let of: Vec<&(&Record, f64)> = trained.iter().filter(|(record, _)| record.origin.kind() == kind).collect();
        if !of.is_empty() {
            rows.push(LedgerRow {
                part: format!("training, {} {}", of.len(), kind.word()),
                how: format!("{forwards:.0} forward passes an image and epoch"),
                macs: of.iter().map(|(record, images)| record.cost.macs.0 as f64 * images * forwards).sum(),
            });
        }
    }
    let attacks: f64 = config.evaluate.attacks.iter().map(Attack::passes).sum();
    let measured = |record: &Record| match &record.outcome {
        Outcome::Ok { validation, test, .. } => [Some(validation), test.as_ref()]
            .into_iter()
            .flatten()
            .map(|found| found.clean.total as f64 + found.clean.hit as f64 * attacks)
            .sum::<f64>(),
        Outcome::Failed { .. } => 0.0,
    };
    rows.push(LedgerRow {
        part: "evaluation".into(),
        how: format!("one forward pass an image, at most {attacks:.0} more for one that is right"),
        macs: records.iter().map(|record| record.cost.macs.0 as f64 * measured(record)).sum(),
    });
    Ok(rows)
}
