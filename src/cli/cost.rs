//! `robustnas cost`.

use std::fmt::Write;
use std::num::NonZero;

use super::args::{NetArguments, positive};
use super::console::Console;
use super::files;
use crate::arch::cost::{Cost, NodeCost, Rule, activations, auxiliary_params, cost_under, per_node_under};
use crate::arch::families::cells::auxiliary;
use crate::arch::net::Net;
use crate::engine::{Cpu, Fusion, Memory};
use crate::error::Result;
use crate::jobs::speed::speed;
use crate::model::Model;
use crate::recipe::{Preset, Recipe};
use crate::record::Speed;
use crate::train::work::work;
use crate::units::{Params, grouped};

/// What `cost` takes.
#[derive(clap::Args)]
pub struct CostArguments {
    #[command(flatten)]
    net: NetArguments,
    /// Count every layer.
    #[arg(long)]
    per_layer: bool,
    /// What counts as an operation: macs (convolutions and linear layers), pycls (and their biases), torchprofile (and
    /// normalisations, products and means) or 2x-macs.
    #[arg(long, default_value = Rule::default().word())]
    rule: Rule,
    /// Estimate the memory of its training.
    #[arg(long)]
    memory: bool,
    /// Time a forward pass and a training step on this machine: the median of five.
    #[arg(long)]
    time: bool,
    /// Images a pass, for --memory and --time.
    #[arg(long, default_value = "128", value_parser = positive::<NonZero<usize>>)]
    batch: NonZero<usize>,
    /// The training method, for --memory and --time: pgd-STEPS or any of `robustnas train --list`.
    #[arg(long, default_value = "pgd-10")]
    method: Preset,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl CostArguments {
    /// The recipe, in the batches that are asked for.
    fn recipe(&self) -> Recipe {
        Recipe { batch: self.batch.get(), ..self.method.recipe.clone() }
    }

    /// The memory of training, if requested.
    fn training(&self, net: &Net) -> Result<Option<Memory>> {
        let work = work(&self.recipe(), self.batch.get());
        self.memory.then(|| Memory::of(net, &work, Fusion::ALL, &Cpu::widest())).transpose()
    }

    /// How long it takes, if requested.
    fn speed(&self, net: &Net) -> Result<Option<Speed>> {
        self.time.then(|| speed(net, &self.recipe())).transpose()
    }
}

/// Counts a network.
pub fn cost(arguments: &CostArguments, console: Console) -> Result<()> {
    let Model { net, genotype, skeleton, .. } = arguments.net.load(console)?;
    let rule = arguments.rule;
    let total = cost_under(&net, rule);
    let layers = arguments.per_layer.then(|| per_node_under(&net, rule));
    let training = arguments.training(&net)?;
    let speed = arguments.speed(&net)?;
    let head = match skeleton.zip(genotype) {
        Some((skeleton, genotype)) => auxiliary(&skeleton, &genotype)?,
        None => None,
    };
    let with_head = head.map(|head| Params(total.params.0 + auxiliary_params(&head).0));
    if arguments.json {
        let unit = rule.unit().to_lowercase();
        let mut value = serde_json::json!({
            "params": total.params, unit.as_str(): total.macs, "activations": activations(&net), "rule": total.rule,
            "image": net.input_shape(), "classes": net.classes(),
        });
        if let Some(params) = with_head {
            value["params_with_auxiliary_head"] = serde_json::json!(params);
        }
        if let Some(layers) = &layers {
            let line = |l: &NodeCost| {
                serde_json::json!({
                    "name": l.name, "op": l.op, "shape": l.shape, "params": l.params, unit.as_str(): l.macs,
                    "activations": l.activations,
                })
            };
            value["layers"] = layers.iter().map(line).collect();
        }
        if let Some(memory) = &training {
            value["training_bytes"] = serde_json::json!(memory.total());
            value["memory"] = serde_json::json!(memory);
            value["memory"]["batch"] = serde_json::json!(arguments.batch);
            value["memory"]["method"] = serde_json::json!(arguments.method.word);
        }
        if let Some(speed) = &speed {
            value["speed"] = serde_json::json!(speed);
            value["speed"]["method"] = serde_json::json!(arguments.method.word);
        }
        return files::print_json(&value);
    }
    let mut text = layers.map(|layers| layer_table(&layers, &total, rule)).unwrap_or_default();
    let _ = writeln!(
        text,
        "{} parameters, {} {unit} ({} and {}; {}, one {} image, {} classes), {} activations",
        total.params.0,
        total.macs.0,
        total.params,
        total.macs,
        total.rule,
        net.input_shape(),
        net.classes(),
        activations(&net),
        unit = rule.unit(),
    );
    if let Some(params) = with_head {
        let _ = writeln!(text, "{} parameters with the auxiliary head", params.0);
    }
    if let Some(memory) = &training {
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
        let _ = writeln!(
            text,
            "{} MiB for training by {} in batches of {}: {} of arena, {} of state, {} of momentum and gradients, {} of \
            images",
            mib(memory.total()),
            arguments.method.word,
            arguments.batch,
            mib(memory.arena),
            mib(memory.state),
            mib(memory.vectors),
            mib(memory.images)
        );
    }
    if let Some(Speed { forward_ms, training_ms, batch, threads, passes }) = speed {
        let _ = writeln!(
            text,
            "{forward_ms:.3} ms an image forward, {training_ms:.3} ms for a training step by {} (batches of {batch}, \
            {threads} threads, median of {passes})",
            arguments.method.word,
        );
    }
    files::print(&text)
}

/// Every layer with its counts, and their share of the total.
fn layer_table(layers: &[NodeCost], total: &Cost, rule: Rule) -> String {
    let share = |part: u64, whole: u64| match part {
        0 => String::new(),
        part => format!("{:.1} %", 100.0 * part as f64 / whole as f64),
    };
    let head = ["layer", "operation", "output", "parameters", "", rule.unit(), "", "activations"].map(str::to_owned);
    let rows = layers.iter().map(|l| {
        [
            l.name.clone(),
            l.op.to_owned(),
            l.shape.to_string(),
            blank_or(l.params.0),
            share(l.params.0, total.params.0),
            blank_or(l.macs.0),
            share(l.macs.0, total.macs.0),
            blank_or(l.activations),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A count with a space between thousands; empty for zero.
fn blank_or(count: u64) -> String {
    if count == 0 { String::new() } else { grouped(count, " ") }
}
