//! `robustnas draw`.

use std::path::PathBuf;

use super::args::NetArguments;
use super::console::Console;
use super::files;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::report::{blocks, cells, row};

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
    let Model { name, net, genotype, skeleton, .. } = arguments.net.load(console)?;
    let lacking = |what: &str| {
        Error::Usage(format!(
            "`{}` is not made of {what}, as --what or the ending of --out asks for; --what blocks draws any network as .svg or .png",
            name
        ))
    };
    let extension = arguments.out.extension().and_then(|e| e.to_str()).unwrap_or_default();
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
    let svg = svg.finish();
    match extension {
        "svg" => files::write(&arguments.out, svg.as_bytes()),
        "png" => files::write_png(&arguments.out, &svg),
        other => Err(Error::Usage(format!("--out: `.{other}` is not a picture; expected .svg, .png or .dot"))),
    }
}
