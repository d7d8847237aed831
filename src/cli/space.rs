//! `robustnas space check`.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use super::{files, spaces};
use crate::arch::cost::cost;
use crate::arch::families::cells;
use crate::arch::op::Shape;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::jobs::candidates::scalings;
use crate::search::space::{Space, cells::Cells};
use crate::seed::Seed;
use crate::units::Macs;

/// What a check takes networks to be for.
const SEEN: (Shape, usize) = (Shape::new(32, 32, 3), 10);

/// Random genotypes that are brought to each budget.
const TRIED: u64 = 8;

/// Whether a space has networks of a budget.
#[derive(Serialize)]
struct Met {
    budget: Macs,
    /// Random genotypes that were tried.
    tried: u64,
    /// Those that have a network of the budget.
    met: u64,
    /// The network of the first that has one, or why the last has none.
    example: String,
}

impl Met {
    fn of(config: &Config, space: &Cells, budget: Macs) -> Result<Met> {
        let seed = Seed::root(config.seed).child("check");
        let (mut met, mut example, mut why) = (0, None, String::new());
        for draw in 0..TRIED {
            match scalings(config, SEEN, &space.draw(&mut seed.index(draw).stream()), budget) {
                Ok(choice) => {
                    met += 1;
                    let words = choice.kept.first().map(|scaled| format!("{}, {} MACs", scaled.summary(), scaled.macs));
                    example = example.or(words);
                }
                Err(Error::Impossible(reason)) => why = reason,
                Err(other) => return Err(other),
            }
        }
        Ok(Met { budget, tried: TRIED, met, example: example.unwrap_or(why) })
    }
}

/// Names the spaces that are part of the program.
pub fn list() -> Result<()> {
    let lines = spaces::list().map(|(name, about)| format!("{name:12}  {about}\n"));
    files::print(&lines.collect::<String>())
}

/// Checks a space file, and whether it has networks of its budgets.
pub fn check(file: &Path, json: bool) -> Result<()> {
    let (text, file) = spaces::read(file)?;
    let config = Config::resolve(&text, &file, &[], &files::read)?;
    let layout = config.mix_layout();
    let (image, classes) = SEEN;
    let cost = cost(&cells::supernet(&config.supernet_skeleton(image, classes)?, &layout)?);
    let space = Cells::new(config.mix_layout(), config.derive.edges_per_node);
    let budgets = config.budgets.iter().map(|budget| Met::of(&config, &space, *budget)).collect::<Result<Vec<_>>>()?;
    let unmet = budgets.iter().find(|budget| budget.met == 0);
    let unmet = unmet.map_or(Ok(()), |Met { budget, example, .. }| {
        Err(Error::Impossible(format!(
            "budget {budget}: none of {TRIED} random genotypes has a network of it: {example}"
        )))
    });
    if json {
        files::print_json(&json!({
            "name": config.name,
            "supernet": cost,
            "choices": layout.len(),
            "genotypes": space.count(),
            "budgets": config.budgets,
            "tried": budgets,
            "image": [image.h, image.w, image.c],
            "classes": classes,
        }))?;
        return unmet;
    }
    let mut text = format!("{}: {} is valid\n", file.display(), config.name);
    for kind in &layout.kinds {
        let ops: usize = kind.edges.iter().map(|e| e.ops.len()).sum();
        let _ = writeln!(text, "  {}: {} nodes, {} edges, {ops} choices", kind.kind, kind.nodes, kind.edges.len());
    }
    let _ = writeln!(
        text,
        "  supernet: {} cells of {} channels, {} parameters, {} MACs ({}) on a {image} image",
        config.supernet.layers, config.supernet.channels, cost.params, cost.macs, cost.rule
    );
    let _ = writeln!(text, "  {:.2e} genotypes", space.count());
    for Met { budget, tried, met, example } in &budgets {
        let such = if *met > 0 { "such as" } else { "none:" };
        let _ = writeln!(text, "  budget {budget}: {met} of {tried} random genotypes have a network, {such} {example}");
    }
    files::print(&text)?;
    unmet
}
