//! The one loader of networks: a name, a file or an ONNX model, to the graph, its description and
//! its weights.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::weights;
use crate::arch::families::cells::Skeleton;
use crate::arch::file::ArchFile;
use crate::arch::genotype::Genotype;
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::arch::spec::{NetSpec, fits, has_ending};
use crate::engine::Network;
use crate::error::{Error, IoContext, Result, utf8};
use crate::onnx;
use crate::seed::Seed;

/// A network with the content of its files.
pub struct Model {
    /// As it was named.
    pub name: String,
    /// The graph.
    pub net: Net,
    /// Its description, where that is a file.
    pub file: Option<ArchFile>,
    /// Its genotype, where it is made of cells.
    pub genotype: Option<Genotype>,
    /// The sequence of its cells.
    pub skeleton: Option<Skeleton>,
    /// The weights that came with it.
    tensors: Option<HashMap<String, Vec<f32>>>,
}

/// Reads a file's bytes.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>>;

impl Model {
    /// Reads what is named: a family and its keys, a net.toml, an arch.json or a model.onnx. The last two have their
    /// own image and classes; the others are built for those given.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that does not parse; those of `read`; [`Error::Data`] and [`Error::Config`] for a
    /// file that is not one of its kind.
    pub fn load(name: &str, image: Shape, classes: usize, read: ReadFile<'_>) -> Result<Self> {
        let of = |net| Model { name: name.to_owned(), net, file: None, genotype: None, skeleton: None, tensors: None };
        if has_ending(name, "onnx") {
            let onnx::Model { net, tensors } = onnx::read(Path::new(name), image, read)?;
            return Ok(Model { tensors: Some(tensors), ..of(net) });
        }
        Ok(match NetSpec::parse(name)? {
            NetSpec::Arch(path) => {
                let (file, net) = ArchFile::from_json(&utf8(read(&path)?, &path)?, &path)?;
                let (genotype, skeleton) = (file.genotype.clone(), file.skeleton.clone());
                Model { file: Some(file), genotype, skeleton, ..of(net) }
            }
            spec => {
                let (net, genotype, skeleton) = spec.load(image, classes, read)?;
                Model { genotype, skeleton, ..of(net) }
            }
        })
    }

    /// Reads what is named, for images and classes that it must have.
    ///
    /// # Errors
    /// As [`Model::load`]; [`Error::Usage`] for a file whose network takes other images or has other classes.
    pub fn load_for(name: &str, image: Shape, classes: usize, read: ReadFile<'_>) -> Result<Self> {
        let model = Model::load(name, image, classes, read)?;
        fits(Path::new(name), &model.net, image, classes)?;
        Ok(model)
    }

    /// How many classes the weights of a file are of, where that is another number than the network was built for.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn classes_of(&self, file: &Path) -> Result<Option<usize>> {
        Ok(weights::classes_of(&self.net, &std::fs::read(file).at(file)?))
    }

    /// Where a run or an export leaves the weights of an `arch.json`.
    fn beside(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|_| Path::new(&self.name).with_file_name("weights.safetensors"))
    }

    /// The network with its weights: of the file that `option` gave, its own, or those beside it; and where these are
    /// from.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are none, or two.
    pub fn with_weights(self, weights: Option<&Path>, option: &str) -> Result<(Network, String)> {
        let beside = self.beside();
        let Model { name, net, tensors, .. } = self;
        let mut network = Network::new(net, Seed::root(0), &Device::Cpu)?;
        let from = match (tensors, weights.map(Path::to_owned).or(beside)) {
            (None, Some(file)) => {
                if weights.is_none() && !file.exists() {
                    let words = "is not there, so the network has no weights; expected those that it was trained to, or \
                                 another file by";
                    return Err(Error::data(&file, format!("{words} {option}")));
                }
                weights::load(&mut network, &file)?;
                file.display().to_string()
            }
            (Some(own), None) => {
                weights::set(&mut network, &own).map_err(|why| why.of_file(&name))?;
                name
            }
            (Some(_), Some(_)) => {
                return Err(Error::Usage(format!("{option}: `{name}` has its own weights; leave it out")));
            }
            (None, None) => {
                return Err(Error::Usage(format!("{option} is missing: `{name}` names a network without weights")));
            }
        };
        Ok((network, from))
    }

    /// The network with its weights where it has any, else with fresh ones of a seed; and where these are from.
    ///
    /// # Errors
    /// [`Error::Data`] for an `arch.json` without weights beside it, unless fresh ones are asked for: a trained network
    /// must not be replaced by an untrained one silently.
    pub fn with_weights_or_fresh(self, weights: Option<&Path>, seed: Option<u64>) -> Result<(Network, String)> {
        let has_own = weights.is_some() || self.tensors.is_some() || self.beside().is_some_and(|path| path.exists());
        if has_own && seed.is_none() {
            return self.with_weights(weights, "--weights");
        }
        if let (Some(beside), None) = (self.beside(), seed) {
            let words = "is not there, so the network has no weights; expected those that it was trained to. Name another \
                         file with --weights, or ask for fresh ones with --seed";
            return Err(Error::data(beside, words));
        }
        let seed = seed.unwrap_or(0);
        let network = Network::new(self.net, Seed::root(seed), &Device::Cpu)?;
        Ok((network, format!("fresh weights of seed {seed}")))
    }
}

/// The network of a name as on the command line: a family and its keys (`wrn:28-10`, `resnet:50,act=silu`,
/// `darts:FILE,channels=36,layers=20`), or the path of a `net.toml`, an `arch.json` or a `model.onnx`.
/// `docs/networks.md` has all of them.
///
/// ```
/// use robustnas::arch::{cost::cost, op::Shape};
///
/// let net = robustnas::model::named("preact-resnet:18,act=silu", Shape::new(32, 32, 3), 10)?;
/// println!("{} multiply-accumulates", cost(&net).macs);
/// # Ok::<(), robustnas::error::Error>(())
/// ```
///
/// # Errors
/// As [`Model::load_for`]; [`Error::Io`] for a file that cannot be read.
pub fn named(name: &str, image: Shape, classes: usize) -> Result<Net> {
    let read = |path: &Path| std::fs::read(path).at(path);
    Model::load_for(name, image, classes, &read).map(|model| model.net)
}
