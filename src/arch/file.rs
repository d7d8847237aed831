//! `arch.json`: a network as a file that needs nothing else to be rebuilt, and its content id.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::cost::{Cost, cost};
use super::families::cells::Skeleton;
use super::genotype::Genotype;
use super::net::{Layer, Net};
use super::op::Shape;
use crate::error::{Error, Result};

/// The version this program writes, and the newest it reads.
pub const SCHEMA_VERSION: u32 = 1;

/// A network and its description. Unknown keys at the top level are ignored; an unknown key in a layer is an error,
/// since it could change what the layer computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ArchFile {
    /// Version of this layout.
    pub schema_version: u32,
    /// Content id: the first 16 hexadecimal digits of the SHA-256 of the layers' canonical JSON.
    pub id: String,
    /// Image `[h, w, c]`.
    pub image: Shape,
    /// Classes.
    pub classes: usize,
    /// In words: family, cells per stage, channels.
    pub summary: String,
    /// Its cost, under a named rule.
    pub cost: Cost,
    /// The cells, where the network is made of searched ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genotype: Option<Genotype>,
    /// The sequence of cells, where the network is made of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skeleton: Option<Skeleton>,
    /// The network, in topological order.
    pub layers: Vec<Layer>,
}

/// The content id of a network: the same layers give the same id on every machine and in every version.
///
/// # Errors
/// [`Error::Net`] where the layers cannot be written as JSON.
pub fn id_of(net: &Net) -> Result<String> {
    let layers = serde_json::to_value(net.layers()).map_err(unwritable)?;
    let mut text = String::new();
    canonical(&layers, &mut text);
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    Ok(hash.iter().take(8).map(|b| format!("{b:02x}")).collect())
}

/// The beginning of an id, by which verbs find the network, too.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// JSON without white space, keys sorted: the order fields are declared in must not change an id.
fn canonical(value: &Value, out: &mut String) {
    let between = |out: &mut String, i: usize| {
        if i > 0 {
            out.push(',');
        }
    };
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                between(out, i);
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, value) in items.iter().enumerate() {
                between(out, i);
                canonical(value, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&value.to_string()),
    }
}

fn unwritable(why: serde_json::Error) -> Error {
    Error::Net(format!("the network cannot be written as JSON: {why}"))
}

impl ArchFile {
    /// Describes a network.
    ///
    /// # Errors
    /// [`Error::Net`] where [`Net::validate`] refuses the network.
    pub fn new(
        net: &Net,
        summary: impl Into<String>,
        genotype: Option<Genotype>,
        skeleton: Option<Skeleton>,
    ) -> Result<Self> {
        net.validate()?;
        Ok(ArchFile {
            schema_version: SCHEMA_VERSION,
            id: id_of(net)?,
            image: net.input_shape(),
            classes: net.classes(),
            summary: summary.into(),
            cost: cost(net),
            genotype,
            skeleton,
            layers: net.layers(),
        })
    }

    /// Reads a file's text and checks that id and cost are those of its layers; `label` is the name of
    /// the text in errors.
    ///
    /// # Errors
    /// [`Error::Data`] for text that is not such a file, for a newer schema, and for a mismatch.
    pub fn from_json(text: &str, label: &Path) -> Result<(Self, Net)> {
        /// The one field that must be understood before the others.
        #[derive(Deserialize)]
        struct Version {
            schema_version: u32,
        }
        let unreadable = |why: serde_json::Error| {
            Error::data(label, format!("not an arch.json: {why}; write one with `robustnas export`"))
        };
        let Version { schema_version } = serde_json::from_str(text).map_err(unreadable)?;
        if schema_version > SCHEMA_VERSION {
            return Err(Error::data(
                label,
                format!(
                    "has schema_version {schema_version}; this program reads up to {SCHEMA_VERSION}: use the version \
                     of robustnas that wrote the file, or a newer one"
                ),
            ));
        }
        let file: ArchFile = serde_json::from_str(text).map_err(unreadable)?;
        let net = file.net(label)?;
        Ok((file, net))
    }

    /// The file's text: JSON, two spaces, a newline at the end.
    ///
    /// # Errors
    /// [`Error::Net`] where it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self).map_err(unwritable)? + "\n")
    }

    /// Rebuilds the network and checks that id, cost, image and classes are those of the layers.
    ///
    /// # Errors
    /// [`Error::Data`] naming what differs.
    pub fn net(&self, label: &Path) -> Result<Net> {
        let net = Net::from_layers(&self.layers).map_err(|why| Error::data(label, why.to_string()))?;
        let differs = |what: &str, stored: String, found: String| {
            let message =
                format!("the stored {what} is {stored}, but the layers give {found}: the file was changed by hand");
            Err(Error::data(label, message))
        };
        let (id, cost) = (id_of(&net)?, cost(&net));
        if id != self.id {
            return differs("id", self.id.clone(), id);
        }
        if cost != self.cost {
            let words = |c: &Cost| format!("{} parameters and {} MACs under {}", c.params.0, c.macs.0, c.rule);
            return differs("cost", words(&self.cost), words(&cost));
        }
        if net.input_shape() != self.image {
            return differs("image", self.image.to_string(), net.input_shape().to_string());
        }
        if net.classes() != self.classes {
            return differs("number of classes", self.classes.to_string(), net.classes().to_string());
        }
        Ok(net)
    }
}
