//! A network named on the command line, with what its files say and where its numbers are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::files;
use crate::arch::families::cells::Skeleton;
use crate::arch::file::ArchFile;
use crate::arch::genotype::Genotype;
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::arch::spec::NetSpec;
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::onnx;
use crate::pipeline::weights;
use crate::seed::Seed;

/// A network.
pub struct Named {
    /// As it was typed.
    pub text: String,
    /// The graph.
    pub net: Net,
    /// Its description, where that is a file.
    pub file: Option<ArchFile>,
    /// Its cells, where it is made of such.
    pub genotype: Option<Genotype>,
    /// Where they stand.
    pub skeleton: Option<Skeleton>,
    /// The numbers that came with it.
    tensors: Option<HashMap<String, Vec<f32>>>,
}

impl Named {
    /// Reads what is named. Files know their image and their classes; the others are built for those given.
    pub fn load(text: &str, image: Shape, classes: usize) -> Result<Self> {
        let of = |net| Named { text: text.to_owned(), net, file: None, genotype: None, skeleton: None, tensors: None };
        Ok(match NetSpec::parse(text)? {
            NetSpec::Arch(path) => {
                let (file, net) = ArchFile::from_json(&files::read(&path)?, &path)?;
                let (genotype, skeleton) = (file.genotype.clone(), file.skeleton.clone());
                Named { file: Some(file), genotype, skeleton, ..of(net) }
            }
            NetSpec::Onnx(path) => {
                let model = onnx::read(&path, image, &files::bytes)?;
                Named { tensors: Some(model.tensors), ..of(model.net) }
            }
            spec => {
                let (net, genotype, skeleton) = spec.load(image, classes, &files::bytes)?;
                Named { genotype, skeleton, ..of(net) }
            }
        })
    }

    /// Where a run or an export leaves the numbers of an `arch.json`.
    fn beside(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|_| Path::new(&self.text).with_file_name("weights.safetensors"))
    }

    /// The network with its numbers: of the file that `option` gave, its own, or those beside it; and which these are.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are none, or two.
    pub fn numbered(self, weights: Option<&Path>, option: &str) -> Result<(Network, String)> {
        let beside = self.beside();
        let Named { text, net, tensors, .. } = self;
        let mut network = Network::new(net, Seed::root(0), &Device::Cpu)?;
        let from = match (tensors, weights.map(Path::to_owned).or(beside)) {
            (None, Some(file)) => {
                weights::load(&mut network, &file)?;
                file.display().to_string()
            }
            (Some(own), None) => {
                weights::set(&mut network, &own).map_err(|why| why.of_file(&text))?;
                text
            }
            (Some(_), Some(_)) => {
                return Err(Error::Usage(format!("{option}: `{text}` has its own numbers; leave it out")));
            }
            (None, None) => {
                return Err(Error::Usage(format!("{option} is missing: `{text}` names a network without numbers")));
            }
        };
        Ok((network, from))
    }

    /// The network with its numbers where it has any, else with fresh ones of a seed; and which these are.
    ///
    /// # Errors
    /// [`Error::Data`] for an `arch.json` without numbers beside it, unless fresh ones are asked for: a network that was
    /// trained is not passed off for another.
    pub fn numbered_or_fresh(self, weights: Option<&Path>, seed: Option<u64>) -> Result<(Network, String)> {
        let has_own = weights.is_some() || self.tensors.is_some() || self.beside().is_some_and(|path| path.exists());
        if has_own && seed.is_none() {
            return self.numbered(weights, "--weights");
        }
        if let (Some(beside), None) = (self.beside(), seed) {
            let words = "is not there, so the network has no weights; expected those that it was trained to. Name another \
                         file with --weights, or ask for fresh ones with --seed";
            return Err(Error::data(beside, words));
        }
        let seed = seed.unwrap_or(0);
        let network = Network::new(self.net, Seed::root(seed), &Device::Cpu)?;
        Ok((network, format!("fresh numbers of seed {seed}")))
    }
}
