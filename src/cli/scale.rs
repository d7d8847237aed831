//! `robustnas scale`.

use std::fmt::Write;

use super::args::ImageArguments;
use super::console::Console;
use super::files;
use crate::arch::cost::RULE;
use crate::arch::scaling::residual::{Family, Scaled, scale as scaled};
use crate::error::{Error, Result};
use crate::units::Macs;

/// What `scale` takes.
#[derive(clap::Args)]
pub struct ScaleArguments {
    /// The family whose network is built from the depths and widths.
    #[arg(long, value_enum)]
    family: FamilyName,
    /// Budgets in multiply-accumulates: 5G,10G,20G,40G.
    #[arg(long, required = true, value_delimiter = ',')]
    budget: Vec<Macs>,
    /// Networks a budget, the nearest to the rule first.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    #[command(flatten)]
    image: ImageArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A family by name.
#[derive(Clone, Copy, clap::ValueEnum)]
enum FamilyName {
    /// The block of RobustResNet.
    RobustResnet,
    /// Basic blocks.
    Wrn,
}

impl From<FamilyName> for Family {
    fn from(name: FamilyName) -> Self {
        match name {
            FamilyName::RobustResnet => Family::RobustResnet,
            FamilyName::Wrn => Family::Wrn,
        }
    }
}

/// How far a network may be from its budget, as a share of it, without a word.
const FAR: f64 = 0.1;

/// Scales a residual family to budgets.
pub fn scale(arguments: &ScaleArguments, console: Console) -> Result<()> {
    let (image, classes) = arguments.image.image_and_classes();
    let mut found: Vec<Scaled> = Vec::new();
    let mut missed = None;
    for budget in &arguments.budget {
        match scaled(arguments.family.into(), *budget, image, classes, arguments.keep.into()) {
            Ok(networks) => found.extend(networks),
            // The other budgets are answered all the same.
            Err(why @ Error::Impossible(_)) => {
                console.warn(&why.to_string());
                missed = Some(why);
            }
            Err(other) => return Err(other),
        }
    }
    if let (Some(why), true) = (missed, found.is_empty()) {
        return Err(why);
    }
    for far in found.iter().filter(|network| (network.ratio - 1.0).abs() > FAR) {
        let (budget, macs, off) = (far.budget, far.macs, 100.0 * (far.ratio - 1.0));
        console.warn(&format!("budget {budget}: the nearest network of the rule has {macs}, {off:+.0} % away"));
    }
    if arguments.json {
        return files::print_json(&serde_json::json!({
            "counting_rule": RULE, "image": image, "classes": classes, "networks": found
        }));
    }
    let mut text = format!("counts   {RULE}; one {image} image, {classes} classes\n\n");
    let list = |numbers: [usize; 3]| numbers.map(|n| n.to_string()).join(" ");
    let _ = writeln!(
        text,
        "{:>8}  {:<10}  {:<10}  {:<14}  {:>5}  {:>9}  {:>9}  {:>6}  network",
        "budget", "D", "W", "channels", "share", "params", "MACs", "ratio"
    );
    for s in &found {
        let name = s.published.map(|name| format!(", published as {}", name.to_uppercase())).unwrap_or_default();
        let _ = writeln!(
            text,
            "{:>8}  {:<10}  {:<10}  {:<14}  {:>5.3}  {:>9}  {:>9}  {:>6.3}  {}{name}",
            s.budget,
            list(s.depths),
            list(s.widths),
            list(s.channels),
            s.depth_share,
            s.params,
            s.macs,
            s.ratio,
            s.model
        );
    }
    files::print(&text)
}
