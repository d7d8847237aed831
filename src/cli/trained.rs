//! A network that is measured: one with numbers, for the images and classes of a data set.

use std::path::Path;

use super::named::Named;
use crate::arch::cost::cost;
use crate::arch::file::id_of;
use crate::data::Dataset;
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::pipeline::weights;
use crate::report::attacked::Attacked;

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
        // Files know their classes; of arrays of labels the largest is no sure sign of their number.
        let named = Named::load(name, data.image, data.classes.len())?;
        let net = &named.net;
        if net.input_shape() != data.image {
            let words = format!("`{name}` takes {} images, the data has {}", net.input_shape(), data.image);
            return Err(Error::Usage(words));
        }
        if let Some(label) = data.test.labels.iter().find(|l| **l as usize >= net.classes()) {
            let words = format!("`{name}` has {} classes, the data has a label {label}", net.classes());
            return Err(Error::Usage(words));
        }
        let (arch, cost) = (id_of(net)?, cost(net));
        let (network, _) = named.numbered(self.weights, self.option)?;
        let weights = weights::id_of(&network)?;
        Ok((network, Attacked { net: name.to_owned(), arch, weights, params: cost.params, macs: cost.macs }))
    }
}
