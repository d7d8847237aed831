//! `robustnas cost` and `robustnas draw`.

use std::fmt::Write;
use std::num::NonZero;
use std::path::PathBuf;

use super::bench::positive;
use super::files;
use crate::arch::cost::{cost as count, per_node};
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::arch::spec::{Loaded, NetSpec};
use crate::bench::train::Recipe;
use crate::engine::{Fusion, Memory};
use crate::error::{Error, Result};
use crate::report::{blocks, cells, png, row};
use crate::train::method::work;

/// The image a network looks at and what it sees in it.
#[derive(clap::Args)]
pub struct Sight {
    /// Image size.
    #[arg(long, default_value = "32x32x3")]
    pub image: Shape,
    /// Classes.
    #[arg(long, default_value_t = 10)]
    pub classes: usize,
}

impl Sight {
    /// Builds a network that is named.
    pub fn load(&self, net: &str) -> Result<Loaded> {
        NetSpec::parse(net)?.load(self.image, self.classes, &files::bytes)
    }
}

/// A network and the image it looks at.
#[derive(clap::Args)]
pub struct NetArguments {
    /// darts:FILE,channels=36,layers=20, dsara:FILE,channels=64,layers=20, nb201:CELL, preact-resnet:18,
    /// wrn:depth=28,width=10, an arch.json, or a model.onnx.
    net: String,
    #[command(flatten)]
    sight: Sight,
}

impl NetArguments {
    /// Builds it.
    pub fn load(&self) -> Result<Loaded> {
        self.sight.load(&self.net)
    }
}

/// What `cost` takes.
#[derive(clap::Args)]
pub struct CostArguments {
    #[command(flatten)]
    net: NetArguments,
    /// Count every layer.
    #[arg(long)]
    per_layer: bool,
    /// Foretell the memory of its training.
    #[arg(long)]
    memory: bool,
    /// Images a training step.
    #[arg(long, default_value = "128", requires = "memory", value_parser = positive::<NonZero<usize>>)]
    batch: NonZero<usize>,
    /// The training method: standard, n-fgsm, pgd-STEPS or trades.
    #[arg(long, default_value = "pgd-10", requires = "memory")]
    method: Recipe,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl CostArguments {
    /// What a training holds, if that was asked for.
    fn training(&self, net: &Net) -> Option<Memory> {
        let work = work(&self.method.method, self.batch.get());
        self.memory.then(|| Memory::of(net, &work, Fusion::ALL))
    }
}

/// Counts a network.
pub fn cost(arguments: &CostArguments) -> Result<()> {
    let (net, ..) = arguments.net.load()?;
    let total = count(&net);
    let layers = arguments.per_layer.then(|| per_node(&net));
    let training = arguments.training(&net);
    if arguments.json {
        let mut value = serde_json::json!(total);
        value["image"] = serde_json::json!(net.input_shape());
        value["classes"] = serde_json::json!(net.classes());
        if let Some(layers) = &layers {
            value["layers"] = serde_json::json!(layers);
        }
        if let Some(memory) = &training {
            value["training_bytes"] = serde_json::json!(memory.total());
            value["memory"] = serde_json::json!(memory);
            value["memory"]["batch"] = serde_json::json!(arguments.batch);
            value["memory"]["method"] = serde_json::json!(arguments.method.word);
        }
        return files::print_json(&value);
    }
    let mut text = String::new();
    if let Some(layers) = &layers {
        let width = layers.iter().map(|l| l.name.len()).max().unwrap_or(0);
        for l in layers {
            let _ =
                writeln!(text, "{:width$}  {:15} {:>11} {:>12} {:>14}", l.name, l.op, l.shape, l.params.0, l.macs.0);
        }
    }
    let _ = writeln!(
        text,
        "{} parameters, {} MACs ({} and {}; {}, one {} image, {} classes)",
        total.params.0,
        total.macs.0,
        total.params,
        total.macs,
        total.rule,
        net.input_shape(),
        net.classes()
    );
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
    files::print(&text)
}

/// What `draw` takes.
#[derive(clap::Args)]
pub struct DrawArguments {
    #[command(flatten)]
    net: NetArguments,
    /// What to draw.
    #[arg(long, value_enum, default_value = "auto")]
    what: What,
    /// The picture: .svg, .png, or .dot for cells.
    #[arg(long)]
    out: PathBuf,
}

/// What a drawing shows.
#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Cells where the network is made of such, else blocks.
    Auto,
    /// The insides of the cells.
    Cells,
    /// The row of cells with widths and sizes.
    Row,
    /// Every block.
    Blocks,
}

/// Draws a network.
pub fn draw(arguments: &DrawArguments) -> Result<()> {
    let (net, genotype, skeleton) = arguments.net.load()?;
    let lacking =
        |what: &str| Error::Usage(format!("`{}` is not made of {what}; try --what blocks", arguments.net.net));
    let extension = arguments.out.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if extension == "dot" {
        let genotype = genotype.ok_or_else(|| lacking("cells"))?;
        return files::write(&arguments.out, cells::dot(&genotype).as_bytes());
    }
    let svg = match (arguments.what, genotype, skeleton) {
        (What::Auto | What::Cells, Some(genotype), _) => cells::draw(&genotype),
        (What::Row, _, Some(skeleton)) => row::draw(&skeleton),
        (What::Cells, None, _) => return Err(lacking("cells")),
        (What::Row, _, None) => return Err(lacking("a row of cells")),
        (What::Auto | What::Blocks, ..) => blocks::draw(&net),
    };
    let svg = svg.finish();
    match extension {
        "svg" => files::write(&arguments.out, svg.as_bytes()),
        "png" => files::write(&arguments.out, &png::rasterise(&svg, 2.0)?),
        other => Err(Error::Usage(format!("--out: `.{other}` is not a picture; expected .svg, .png or .dot"))),
    }
}
