//! The elements of a network that a family leaves open: activation, normalisation, downsampling, gate, regularisation.
//!
//! A family has elements of its own; a form or a network file names those that differ, such as
//! `act=silu,norm=group:8,down=flc,se=0.25,drop-path=0.1`.

use std::fmt;
use std::str::FromStr;

use super::keys::{Fault, Keys};
use super::op::{Act, Op};
use crate::error::nearest;

/// The activation function after a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x sigmoid(x)`.
    Silu,
    /// `x Phi(x)`.
    Gelu,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// `x sigmoid(phi(x))` with a small convolutional `phi` that is learned: an interpretation of Sparta (arXiv
    /// 2105.08269), see [`Chain::act`](super::chain::Chain::act).
    Sparta,
}

impl Activation {
    /// All of them.
    pub const ALL: [Activation; 5] =
        [Activation::Relu, Activation::Silu, Activation::Gelu, Activation::Softplus, Activation::Sparta];

    /// The primitive activation, where it is one.
    pub fn primitive(self) -> Option<Act> {
        match self {
            Activation::Relu => Some(Act::Relu),
            Activation::Silu => Some(Act::Silu),
            Activation::Gelu => Some(Act::Gelu),
            Activation::Softplus => Some(Act::Softplus),
            Activation::Sparta => None,
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Activation::Relu => "relu",
            Activation::Silu => "silu",
            Activation::Gelu => "gelu",
            Activation::Softplus => "softplus",
            Activation::Sparta => "sparta",
        })
    }
}

impl FromStr for Activation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of(text, &Activation::ALL)
    }
}

/// The normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Norm {
    /// Batch normalisation.
    Batch,
    /// Batch normalisation that learns neither scale nor shift.
    PlainBatch,
    /// Layer normalisation of every pixel over its channels.
    Layer,
    /// Group normalisation with this number of groups.
    Group(usize),
    /// Instance normalisation.
    Instance,
    /// No layer of its own; the output spectrum of every convolution is normalised instead (ConvNorm, Liu et al. 2021),
    /// see [`Chain::conv`](super::chain::Chain::conv).
    ConvNorm,
    /// This number of batch normalisations side by side, one of which is selected in each call (Xie et al. 2020).
    MultiBatch(usize),
}

impl Norm {
    /// The epsilon of layer normalisation (ConvNeXt, ViT).
    pub const LAYER_EPSILON: f32 = 1e-6;
    /// The epsilon of group and instance normalisation (PyTorch's default).
    pub const GROUP_EPSILON: f32 = 1e-5;

    /// The operation on `channels` channels; ConvNorm has none of its own.
    pub fn op(self, channels: usize) -> Option<Op> {
        let group = |groups| Op::GroupNorm { groups, epsilon: Self::GROUP_EPSILON };
        match self {
            Norm::Batch => Some(Op::BatchNorm { affine: true }),
            Norm::PlainBatch => Some(Op::BatchNorm { affine: false }),
            Norm::Layer => Some(Op::LayerNorm { epsilon: Self::LAYER_EPSILON }),
            Norm::Group(groups) => Some(group(groups)),
            Norm::Instance => Some(group(channels)),
            Norm::ConvNorm => None,
            Norm::MultiBatch(branches) => Some(Op::MultiBatchNorm { branches }),
        }
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Norm::Batch => f.write_str("batch"),
            Norm::PlainBatch => f.write_str("plain-batch"),
            Norm::Layer => f.write_str("layer"),
            Norm::Group(n) => write!(f, "group:{n}"),
            Norm::Instance => f.write_str("instance"),
            Norm::ConvNorm => f.write_str("conv-norm"),
            Norm::MultiBatch(n) => write!(f, "multi-batch:{n}"),
        }
    }
}

impl FromStr for Norm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').map(|(word, n)| (word, n.parse::<usize>().ok().filter(|n| *n > 0))) {
            Some(("group", Some(n))) => Ok(Norm::Group(n)),
            Some(("multi-batch", Some(n))) => Ok(Norm::MultiBatch(n)),
            _ => one_of(text, &[Norm::Batch, Norm::PlainBatch, Norm::Layer, Norm::Instance, Norm::ConvNorm])
                .map_err(|why| format!("{why}, group:N or multi-batch:N")),
        }
    }
}

/// How a strided convolution, and the pool of a stem, halve the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Downsampling {
    /// By stride.
    Stride,
    /// 2x2 maximum pool before the convolution, which then has stride 1.
    MaxPool,
    /// 2x2 average pool before the convolution, which then has stride 1.
    AvgPool,
    /// FLC pool, the low half of the spectrum, before the convolution, which then has stride 1 (Grabinski et al. 2022).
    Flc,
    /// The same with the spectrum under a Hamming window (ASAP).
    FlcHamming,
}

impl Downsampling {
    /// All of them.
    pub const ALL: [Downsampling; 5] = [
        Downsampling::Stride,
        Downsampling::MaxPool,
        Downsampling::AvgPool,
        Downsampling::Flc,
        Downsampling::FlcHamming,
    ];
}

impl fmt::Display for Downsampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Downsampling::Stride => "stride",
            Downsampling::MaxPool => "max-pool",
            Downsampling::AvgPool => "avg-pool",
            Downsampling::Flc => "flc",
            Downsampling::FlcHamming => "flc-hamming",
        })
    }
}

impl FromStr for Downsampling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of(text, &Downsampling::ALL)
    }
}

/// Channel attention at the end of a residual branch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    /// No gate.
    None,
    /// Squeeze-and-excitation (Hu et al. 2018): `x s(x)`, hidden channels as a share of the channels, with biases.
    Se {
        /// Hidden channels over channels.
        ratio: f32,
    },
    /// Residual squeeze-and-excitation (Huang et al. 2023): `x + n s(n)` with `n` the normalised `x`, without biases.
    ResidualSe {
        /// Channels over hidden channels.
        reduction: usize,
    },
}

/// The elements of a network. The default is ReLU, batch normalisation, stride, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elements {
    /// `act`.
    pub act: Activation,
    /// `norm`.
    pub norm: Norm,
    /// `down`.
    pub down: Downsampling,
    /// `se` or `residual-se`.
    pub gate: Gate,
    /// `dropout`: the share of entries zeroed, where the family has a place for it.
    pub dropout: f32,
    /// `drop-path`: the share of images whose last residual branch is zeroed; it grows linearly from 0 at the first.
    pub drop_path: f32,
    /// `layer-scale`: what the learned factor at the end of every residual branch starts at.
    pub layer_scale: Option<f32>,
}

impl Default for Elements {
    fn default() -> Self {
        Elements {
            act: Activation::Relu,
            norm: Norm::Batch,
            down: Downsampling::Stride,
            gate: Gate::None,
            dropout: 0.0,
            drop_path: 0.0,
            layer_scale: None,
        }
    }
}

impl Elements {
    /// The keys of a form and of a file's `[elements]`.
    pub const KEYS: &[&str] = &["act", "norm", "down", "se", "residual-se", "dropout", "drop-path", "layer-scale"];

    /// Takes the elements that are named and leaves the others as they are in `own`, the family's.
    ///
    /// # Errors
    /// A value that does not parse, or two gates.
    pub fn take(keys: &mut Keys, own: Elements) -> Result<Self, Fault> {
        let ratio = |text: &str| text.parse().ok().filter(|r| (0.0..=1.0).contains(r));
        let gate = match (keys.read("se", "0 for no gate, or a ratio up to 1", ratio)?, keys.count("residual-se")?) {
            (None, None) => own.gate,
            (Some(0.0), None) => Gate::None,
            (Some(ratio), None) => Gate::Se { ratio },
            (None, Some(reduction)) => Gate::ResidualSe { reduction },
            (Some(_), Some(_)) => return Err(Fault::of("residual-se", "`se` and `residual-se` are both given")),
        };
        let scale = |text: &str| match text {
            "none" => Some(None),
            number => number.parse().ok().filter(|s: &f32| s.is_finite()).map(Some),
        };
        Ok(Elements {
            act: keys.value("act")?.unwrap_or(own.act),
            norm: keys.value("norm")?.unwrap_or(own.norm),
            down: keys.value("down")?.unwrap_or(own.down),
            gate,
            dropout: keys.share("dropout")?.unwrap_or(own.dropout),
            drop_path: keys.share("drop-path")?.unwrap_or(own.drop_path),
            layer_scale: keys.read("layer-scale", "a number or none", scale)?.unwrap_or(own.layer_scale),
        })
    }

    /// The entries `,key=value` that differ from `own`, the family's elements.
    pub fn beside<'a>(&'a self, own: &'a Elements) -> impl fmt::Display + 'a {
        Beside { elements: self, own }
    }

    /// The share of images whose residual branch `block` of `blocks` is zeroed: linear in depth (Huang et al. 2016).
    pub fn drop_path_at(&self, block: usize, blocks: usize) -> f32 {
        match blocks {
            0 | 1 => self.drop_path,
            _ => self.drop_path * block as f32 / (blocks - 1) as f32,
        }
    }
}

/// Elements beside those of their family.
struct Beside<'a> {
    elements: &'a Elements,
    own: &'a Elements,
}

impl fmt::Display for Beside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Beside { elements: Elements { act, norm, down, gate, dropout, drop_path, layer_scale }, own } = self;
        if *act != own.act {
            write!(f, ",act={act}")?;
        }
        if *norm != own.norm {
            write!(f, ",norm={norm}")?;
        }
        if *down != own.down {
            write!(f, ",down={down}")?;
        }
        match gate {
            same if *same == own.gate => {}
            Gate::None => write!(f, ",se=0")?,
            Gate::Se { ratio } => write!(f, ",se={ratio}")?,
            Gate::ResidualSe { reduction } => write!(f, ",residual-se={reduction}")?,
        }
        if *dropout != own.dropout {
            write!(f, ",dropout={dropout}")?;
        }
        if *drop_path != own.drop_path {
            write!(f, ",drop-path={drop_path}")?;
        }
        match layer_scale {
            same if *same == own.layer_scale => Ok(()),
            Some(init) => write!(f, ",layer-scale={init}"),
            None => write!(f, ",layer-scale=none"),
        }
    }
}

impl fmt::Display for Elements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.beside(&Elements::default()).to_string();
        f.write_str(text.trim_start_matches(','))
    }
}

impl FromStr for Elements {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let mut keys = Keys::parse(text)?;
            keys.among(&[Elements::KEYS])?;
            Elements::take(&mut keys, Elements::default())
        };
        read().map_err(|fault: Fault| fault.why)
    }
}

/// The element of `known` whose text is `text`.
pub(super) fn one_of<T: Copy + fmt::Display>(text: &str, known: &[T]) -> Result<T, String> {
    let names: Vec<String> = known.iter().map(T::to_string).collect();
    match names.iter().position(|name| name == text) {
        Some(i) => Ok(known[i]),
        None => {
            let hint = nearest(text, names.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`? "));
            Err(format!("{}expected one of {}", hint.unwrap_or_default(), names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_print_what_differs() {
        let text = "act=silu,norm=group:8,down=flc,se=0.25,dropout=0.3,drop-path=0.1,layer-scale=0.000001";
        for text in ["", text, "act=sparta,norm=conv-norm,down=flc-hamming,residual-se=64", "norm=multi-batch:2"] {
            assert_eq!(text.parse::<Elements>().unwrap().to_string(), text);
        }
        let own = Elements { act: Activation::Gelu, layer_scale: Some(0.1), ..Elements::default() };
        let relu = Elements { act: Activation::Relu, layer_scale: None, ..own };
        assert_eq!(relu.beside(&own).to_string(), ",act=relu,layer-scale=none");
        assert_eq!(own.beside(&own).to_string(), "");
    }

    #[test]
    fn wrong_elements_are_answered() {
        for (text, words) in [
            ("act=sulu", "did you mean `silu`"),
            ("norm=group", "group:N"),
            ("norm=group:0", "group:N"),
            ("down=fcl", "did you mean `flc`"),
            ("se=0.25,residual-se=64", "both given"),
            ("se=2", "a ratio up to 1"),
            ("drop-path=1", "less than 1"),
            ("dropot=0.1", "did you mean `dropout`"),
        ] {
            let why = text.parse::<Elements>().unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }

    #[test]
    fn stochastic_depth_grows_with_depth() {
        let elements = Elements { drop_path: 0.2, ..Elements::default() };
        assert_eq!([0, 1, 2].map(|b| elements.drop_path_at(b, 3)), [0.0, 0.1, 0.2]);
    }
}
