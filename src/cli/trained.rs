//! A network with its numbers, as the command line names it.

use std::path::{Path, PathBuf};

use candle_core::Device;
use sha2::{Digest, Sha256};

use super::files;
use crate::arch::cost::cost;
use crate::arch::file::{ArchFile, id_of};
use crate::arch::spec::NetSpec;
use crate::data::Dataset;
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::onnx;
use crate::pipeline::weights;
use crate::report::attacked::Attacked;
use crate::seed::Seed;

/// Where a network and its numbers are.
pub struct Trained<'a> {
    /// The network: any that `cost` takes.
    pub net: &'a str,
    /// The file of its numbers, if it was named.
    pub weights: Option<&'a Path>,
    /// The option that names it.
    pub option: &'static str,
}

impl Trained<'_> {
    /// Reads the network and checks that it is one for the data; what is said about it.
    ///
    /// # Errors
    /// [`Error::Usage`] for a network of other images or classes, and where its numbers are missing or given twice;
    /// whatever reading it fails with.
    pub fn load(&self, data: &Dataset) -> Result<(Network, Attacked)> {
        let name = self.net;
        let (net, own) = match NetSpec::parse(name)? {
            // Files know their classes; of arrays of labels the largest is no sure sign of their number.
            NetSpec::Arch(path) => (ArchFile::from_json(&files::read(&path)?, &path)?.1, None),
            NetSpec::Onnx(path) => {
                let model = onnx::read(&path, data.image, &files::bytes)?;
                (model.net, Some(model.tensors))
            }
            spec => (spec.load(data.image, data.classes.len(), &files::bytes)?.0, None),
        };
        if net.input_shape() != data.image {
            let words = format!("`{name}` takes {} images, the data has {}", net.input_shape(), data.image);
            return Err(Error::Usage(words));
        }
        if let Some(label) = data.test.labels.iter().find(|l| **l as usize >= net.classes()) {
            let words = format!("`{name}` has {} classes, the data has a label {label}", net.classes());
            return Err(Error::Usage(words));
        }
        let beside = || {
            let path = PathBuf::from(name);
            (path.extension()? == "json").then(|| path.with_file_name("weights.safetensors"))
        };
        let (arch, cost) = (id_of(&net)?, cost(&net));
        let mut network = Network::new(net, Seed::root(0), &Device::Cpu)?;
        match (own, self.weights.map(Path::to_owned).or_else(beside)) {
            (None, Some(file)) => weights::load(&mut network, &file)?,
            (Some(own), None) => weights::set(&mut network, &own)?,
            (Some(_), Some(_)) => {
                return Err(Error::Usage(format!("{}: `{name}` has its own numbers; leave it out", self.option)));
            }
            (None, None) => {
                let words = format!("{} is missing: `{name}` names a network without numbers", self.option);
                return Err(Error::Usage(words));
            }
        }
        let numbers: Vec<f32> = network.state().to_vec1()?;
        let mut hash = Sha256::new();
        numbers.iter().for_each(|v| hash.update(v.to_le_bytes()));
        let weights = hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect();
        Ok((network, Attacked { net: name.to_owned(), arch, weights, params: cost.params, macs: cost.macs }))
    }
}
