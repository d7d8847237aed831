//! The page of runs, from what their folders hold.

use std::path::Path;

use super::state::{self, State};
use crate::arch::cost::cost;
use crate::arch::families::cells::supernet;
use crate::arch::file::ArchFile;
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::config::{Config, Order};
use crate::error::{IoContext, Result};
use crate::recipe::Kind;
use crate::record::{OriginKind, Outcome, Record, SearchEpoch};
use crate::report::frontier::Frontier;
use crate::report::page::{self, LedgerRow, RunFacts};
use crate::report::protocol::Split;
use crate::report::ranked::Ranked;
use crate::threat::Attack;

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
    let State { file, text, config, epochs, alpha, records, .. } = State::read(folder)?;
    let mut networks: Vec<(ArchFile, Net)> = Vec::new();
    for record in &records {
        if networks.iter().all(|(known, _)| known.id != record.arch) {
            let path = folder.join("archs").join(&record.arch).join("arch.json");
            networks.push(ArchFile::from_json(&std::fs::read_to_string(&path).at(&path)?, &path)?);
        }
    }
    let image = networks.first().map(|(file, _)| (file.image, file.classes));
    Ok(RunFacts {
        name: state::name(folder),
        ranked: Ranked::new(file.seed, &records)?,
        choices: alpha.map(|alpha| state::shares(&config, &alpha)).unwrap_or_default(),
        ledger: ledger(&config, &epochs, &records, image)?,
        epochs,
        networks,
        config: text,
        provenance: vec![
            ("command".into(), file.host.argv.join(" ")),
            ("version".into(), format!("robustnas {}", file.created_by_version)),
            ("seed".into(), file.seed.to_string()),
            ("data".into(), format!("{} (content {})", file.data, file.data_id)),
            ("machine".into(), format!("{}, {}", file.host.name, file.host.system)),
        ],
    })
}

/// What the parts of a run cost, in multiply-accumulates: forward passes of an image, a backward pass counted as as many
/// as it has gradients (in activations, in weights).
fn ledger(
    config: &Config,
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
    if let (Some((image, classes)), Some((_, shown))) = (image, trained.first()) {
        let net = supernet(&config.supernet_skeleton(image, classes)?, &config.mix_layout())?;
        let macs = cost(&net).macs;
        // The images that candidates train on are the search's two parts.
        let weights = config.split.weights_share * shown / f64::from(config.retrain.epochs.max(1));
        let forwards: f64 = epochs.iter().map(|epoch| search_forwards(config, epoch.stage)).sum();
        rows.push(LedgerRow {
            part: format!("search, {} epochs", epochs.len()),
            how: format!(
                "{macs} MACs of the supernet, {weights:.0} images an epoch, {forwards:.0} forward passes an image in all"
            ),
            macs: macs.0 as f64 * weights * forwards,
        });
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

/// Forward passes that an image of an epoch's step costs: attack and weights; from stage one on the architecture's images
/// as well, attacked, with an objective a stage.
fn search_forwards(config: &Config, stage: u8) -> f64 {
    let weights = Kind::Weights.forwards();
    // The mixture's gradient needs those of the activations and no others, as the images' does.
    let mixture = Kind::Input.forwards();
    let attack = match config.search.single_step {
        Some(_) => Kind::Input.forwards(),
        // Without the pass that judges its result.
        None => Attack::Pgd(config.search.attack).passes() - 1.0,
    };
    let objectives = f64::from(stage);
    let moves = if stage > 0 { attack } else { 0.0 };
    let arch = match config.search.order {
        Order::First => objectives * mixture,
        // The inner gradient once; for each objective its own, and two of the mixture at moved weights.
        Order::Second if stage > 0 => weights + objectives * (weights + 2.0 * mixture),
        Order::Second => 0.0,
    };
    attack + weights + moves + arch
}
