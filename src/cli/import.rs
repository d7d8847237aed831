//! `robustnas import`.

use std::path::PathBuf;

use candle_core::Device;

use super::args::NetArguments;
use super::console::Console;
use super::files;
use crate::engine::Network;
use crate::error::Result;
use crate::model::layout::Layout;
use crate::model::names::NameMap;
use crate::model::{import as theirs, weights};
use crate::seed::Seed;

/// What `import` takes.
#[derive(clap::Args)]
pub struct ImportArguments {
    #[command(flatten)]
    net: NetArguments,
    /// The other program's weights.
    #[arg(long)]
    from: PathBuf,
    /// Their names there: a TOML file, `[names]` with lines `"ours" = "theirs"`.
    #[arg(long)]
    map: PathBuf,
    /// Where they go, in this program's names and layout.
    #[arg(long)]
    out: PathBuf,
}

/// Imports the weights of another program.
pub fn import(arguments: &ImportArguments, console: Console) -> Result<()> {
    let net = arguments.net.load(console)?.net;
    let map = NameMap::parse(&files::read(&arguments.map)?, &arguments.map)?;
    let mut network = Network::new(net, Seed::root(0), &Device::Cpu)?;
    theirs::import(&mut network, &arguments.from, &map)?;
    files::write(&arguments.out, &weights::encode(&network, Layout::Own)?)?;
    console.note(&format!("{}: {} tensors", arguments.out.display(), network.layout().tensors().len()));
    Ok(())
}
