//! `robustnas export`.

use std::path::{Path, PathBuf};

use super::args::ImageArguments;
use super::console::Console;
use super::files;
use super::named::{Rank, ranked_network};
use crate::arch::cost::cost;
use crate::arch::file::{ArchFile, id_of};
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::model::layout::Layout;
use crate::model::{torch, weights};
use crate::onnx;
use crate::record::OriginKind;
use crate::report::attacked::AttackResultFile;
use crate::report::robustbench::{ModelInfo, Said};
use crate::units::Macs;

/// What `export` takes.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("documents").required(true).multiple(true)))]
pub struct ExportArguments {
    /// A run folder, or a network: an arch.json, a model.onnx, preact-resnet:18, or any other that `cost` takes.
    source: String,
    /// Of a run: the rank within the budget; default: the first.
    #[arg(long)]
    rank: Option<u32>,
    /// Of a run: ranks count networks of this origin alone: searched, random or hand-made.
    #[arg(long)]
    origin: Option<OriginKind>,
    /// Of a run: the budget; default: the largest.
    #[arg(long)]
    budget: Option<Macs>,
    #[command(flatten)]
    image: ImageArguments,
    /// The network's weights, in this program's layout or in PyTorch's. Default: its own, or those beside its
    /// arch.json; freshly initialised ones of a network that is named by its family.
    #[arg(long, conflicts_with = "seed")]
    weights: Option<PathBuf>,
    /// Freshly initialised weights of this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// The branch of a multi-branch batch normalisation.
    #[arg(long, default_value_t = 0)]
    branch: usize,
    /// Where the ONNX model goes: pixels [n, c, h, w] in [0, 1] to logits [n, classes].
    #[arg(long, group = "documents")]
    onnx: Option<PathBuf>,
    /// Where the arch.json goes, which is enough to rebuild the network.
    #[arg(long, group = "documents")]
    json: Option<PathBuf>,
    /// Where the weights go, as safetensors.
    #[arg(long, group = "documents")]
    safetensors: Option<PathBuf>,
    /// The layout of --safetensors: this program's, or PyTorch's.
    #[arg(long, value_enum, default_value_t = LayoutName::Own, requires = "safetensors")]
    layout: LayoutName,
    /// The folder where the network goes as PyTorch: net.py, plain torch.nn, and weights.safetensors beside it.
    #[arg(long, group = "documents", value_name = "DIR")]
    torch: Option<PathBuf>,
    /// Where the cells go, as the tuple that DARTS prints.
    #[arg(long, group = "documents")]
    genotype: Option<PathBuf>,
    /// Where a model_info.json of RobustBench goes; its figures are those of --attacked, which must be standard
    /// AutoAttack on the images that RobustBench measures.
    #[arg(long, group = "documents", requires_all = ["attacked", "additional_data"])]
    robustbench: Option<PathBuf>,
    /// The result.json that `robustnas attack` wrote about this network.
    #[arg(long, requires = "robustbench")]
    attacked: Option<PathBuf>,
    /// For --robustbench: whether the network was trained on other data, too.
    #[arg(long, requires = "robustbench", value_name = "true|false")]
    additional_data: Option<bool>,
    /// For --robustbench: the robust accuracy, in per cent, that the network's authors report. Default: left open.
    #[arg(long, requires = "robustbench", value_name = "PERCENT", value_parser = percent)]
    reported: Option<f64>,
}

/// The layout of weights in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LayoutName {
    /// Convolutions [rows, columns, in, out], matrices [in, out].
    Own,
    /// Convolutions [out, in, rows, columns], matrices [out, in].
    Pytorch,
}

impl From<LayoutName> for Layout {
    fn from(name: LayoutName) -> Self {
        match name {
            LayoutName::Own => Layout::Own,
            LayoutName::Pytorch => Layout::Pytorch,
        }
    }
}

/// Reads a percentage.
fn percent(text: &str) -> Result<f64, String> {
    let found = text.parse().ok().filter(|p| (0.0..=100.0).contains(p));
    found.ok_or_else(|| format!("`{text}` is not a percentage; expected 0 to 100, for example 56.1"))
}

/// Writes a network, or that of a rank, in the requested forms.
pub fn export(arguments: &ExportArguments, console: Console) -> Result<()> {
    let ExportArguments { rank, origin, budget, .. } = *arguments;
    let source = ranked_network(&arguments.source, Rank { rank, origin, budget }, console)?;
    let model = arguments.image.load_named(&source, console)?;
    if let Some(path) = &arguments.json {
        let file = match &model.file {
            Some(file) => file.clone(),
            None => ArchFile::new(&model.net, source.as_str(), model.genotype.clone(), model.skeleton.clone())?,
        };
        files::write(path, file.to_json()?.as_bytes())?;
        let (id, summary, cost) = (&file.id, &file.summary, &file.cost);
        let (params, macs) = (cost.params, cost.macs);
        console.note(&format!("{}: {id} ({summary}), {params} parameters, {macs} MACs", path.display()));
    }
    if let Some(path) = &arguments.genotype {
        let genotype = model.genotype.as_ref();
        let genotype = genotype.ok_or_else(|| Error::Usage(format!("--genotype: `{source}` is not made of cells")))?;
        files::write(path, format!("{genotype}\n").as_bytes())?;
        console.note(&format!("{}: {} cells", path.display(), genotype.cells.len()));
    }
    let ExportArguments { onnx: model_file, safetensors, torch: folder, robustbench: info, .. } = arguments;
    if [model_file, safetensors, folder, info].iter().all(|path| path.is_none()) {
        return Ok(());
    }
    let summary = model.file.as_ref().map_or(source.clone(), |file| file.summary.clone());
    let (mut network, from) = model.with_weights_or_fresh(arguments.weights.as_deref(), arguments.seed)?;
    if let Some(path) = &arguments.safetensors {
        files::write(path, &weights::encode(&network, arguments.layout.into())?)?;
        console.note(&format!("{}: {} tensors, {from}", path.display(), network.layout().tensors().len()));
    }
    if let Some(folder) = folder {
        let code = torch::write(&torch::Export { net: network.net(), summary: &summary })?;
        files::folder(folder)?;
        files::write(&folder.join("net.py"), code.as_bytes())?;
        files::write(&folder.join("weights.safetensors"), &weights::encode(&network, Layout::Pytorch)?)?;
        files::write(&folder.join("example.safetensors"), &torch::example(&mut network)?)?;
        let net = folder.join("net.py");
        console.note(&format!("{}: PyTorch with {from}; python {} compares the two", net.display(), net.display()));
    }
    if let Some(path) = &arguments.onnx {
        files::write(path, &onnx(&network, arguments.branch)?)?;
        console.note(&format!("{}: ONNX, operator set {}, {from}", path.display(), onnx::OPSET));
    }
    if let (Some(path), Some(attacked)) = (&arguments.robustbench, &arguments.attacked) {
        let said = Said { additional_data: arguments.additional_data, reported: arguments.reported };
        robustbench(&network, path, attacked, said, console)?;
    }
    Ok(())
}

/// A network as an ONNX file.
fn onnx(network: &Network, branch: usize) -> Result<Vec<u8>> {
    let state: Vec<f32> = network.state().to_vec1()?;
    let tensors = network.layout().tensors();
    let places: std::collections::HashMap<&str, _> =
        tensors.iter().map(|t| (t.name.as_str(), t.range.clone())).collect();
    let weights = |name: &str| places.get(name).map(|range| &state[range.clone()]);
    onnx::write(&onnx::Export { net: network.net(), weights: &weights, branch, mix: &[] })
}

/// Writes the model_info.json of a result, if it is of this network and a measurement of RobustBench.
fn robustbench(network: &Network, path: &Path, attacked: &Path, said: Said, console: Console) -> Result<()> {
    let result = AttackResultFile::from_json(attacked, &files::bytes(attacked)?)?;
    let (arch, weights) = (id_of(network.net())?, weights::id_of(network)?);
    if (&result.network.arch, &result.network.weights) != (&arch, &weights) {
        return Err(Error::data(
            attacked,
            format!(
                "is about the network {} with the weights {}; expected {arch} with {weights}",
                result.network.arch, result.network.weights
            ),
        ));
    }
    let net = network.net();
    let info = ModelInfo::new(&result, net.input_shape(), net.classes(), said);
    let info = info.map_err(|why| Error::data(attacked, why))?;
    let text = serde_json::to_string_pretty(&info).map_err(files::unwritable)?;
    files::write(path, (text + "\n").as_bytes())?;
    console.note(&format!("{}: {}, {} MACs", path.display(), info.words(), cost(net).macs));
    Ok(())
}
