//! `robustnas draw`.

use std::path::PathBuf;

use super::args::NetArguments;
use super::console::Console;
use super::figure::{FigureArguments, Format};
use super::files;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::report::figure::Figure;
use crate::report::{blocks, cells, row};

/// What `draw` takes.
#[derive(clap::Args)]
pub struct DrawArguments {
    #[command(flatten)]
    net: NetArguments,
    /// What to draw.
    #[arg(long, value_enum, default_value = "auto")]
    what: What,
    /// The picture: .svg, .png, .pdf, or .dot for cells.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    figure: FigureArguments,
}

/// What a drawing shows.
#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Cells where the network is made of them, else blocks.
    Auto,
    /// The insides of the cells.
    Cells,
    /// The sequence of cells with widths and sizes.
    Row,
    /// Every block.
    Blocks,
}

/// Draws a network.
pub fn draw(arguments: &DrawArguments, console: Console) -> Result<()> {
    let extension = arguments.out.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if extension != "dot" {
        Format::of(&arguments.out, &["dot"])?;
    }
    arguments.figure.check_scaled()?;
    let Model { name, net, genotype, skeleton, .. } = arguments.net.load(console)?;
    let lacking = |what: &str| {
        Error::Usage(format!(
            "`{}` is not made of {what}, as --what or the ending of --out asks for; --what blocks draws any network as .svg, .png or .pdf",
            name
        ))
    };
    if extension == "dot" {
        let genotype = genotype.ok_or_else(|| lacking("cells"))?;
        return files::write(&arguments.out, cells::dot(&genotype).as_bytes());
    }
    let svg = match (arguments.what, genotype, skeleton) {
        (What::Auto | What::Cells, Some(genotype), _) => cells::draw(&genotype),
        (What::Row, _, Some(skeleton)) => row::draw(&skeleton),
        (What::Cells, None, _) => return Err(lacking("cells")),
        (What::Row, _, None) => return Err(lacking("cells")),
        (What::Auto | What::Blocks, ..) => blocks::draw(&name, &net),
    };
    arguments.figure.write(&arguments.out, &Figure { svg, csv: None, caption: Vec::new() }, console)
}
