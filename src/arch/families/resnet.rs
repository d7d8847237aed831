//! Residual networks with the activation after the sum: ResNet, ResNeXt, wide ResNet of bottlenecks, and with a gate
//! SE-ResNet (`resnet:50,se=0.0625`).
//!
//! Sources: He et al. 2016 (deep residual learning), Xie et al. 2017 (ResNeXt), Zagoruyko and Komodakis 2016 (wide
//! bottlenecks), Hu et al. 2018 (SE). Bottlenecks have their stride in the 3x3 convolution, as torchvision's and pycls'
//! do; He et al. have it in the first 1x1. Depths 20, 32, 44, 56 and 110 are the three-stage CIFAR networks; their
//! projection shortcuts are 1x1 convolutions as in pycls, not the padded identities of the paper. Depth 29 has three
//! stages of bottlenecks, for CIFAR as well: `resnext:29-16x32d`, and SENet-29 as `resnext:29-8x64d,se=0.0625`.

use std::fmt;

use super::preact_resnet::DEPTHS;
use super::stem::Stem;
use crate::arch::chain::Chain;
use crate::arch::elements::Elements;
use crate::arch::keys::{Fault, Keys, MODEL, positive};
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::{Error, Result};

/// How wide the 3x3 convolutions of a bottleneck are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `resnet`: as wide as the stage.
    ResNet,
    /// `wide-resnet`: how many times as wide.
    Wide(usize),
    /// `resnext`: groups, each with a number of channels in the first stage.
    Next {
        /// Groups.
        groups: usize,
        /// Channels of a group where the stage is 64 wide.
        width: usize,
    },
}

/// A residual network of a known depth.
#[derive(Clone, Debug, PartialEq)]
pub struct ResNet {
    /// How wide the bottlenecks are.
    pub kind: Kind,
    /// Layers with weights on the longest path.
    pub depth: usize,
    /// Channels of the stem; every stage doubles them.
    pub width: usize,
    /// The stem; by default that for the image's size.
    pub stem: Option<Stem>,
    /// Activation, normalisation and the other elements of the blocks.
    pub elements: Elements,
}

/// The largest multiple of a width, number of groups and width of a group; the largest published is 64.
const WIDEST: usize = 1 << 10;

/// Three-stage networks for CIFAR (He et al. 2016), each of `6 n + 2` layers.
const CIFAR: [usize; 5] = [20, 32, 44, 56, 110];

/// The three-stage network of bottlenecks for CIFAR (Xie et al. 2017), of `9 n + 2` layers.
const CIFAR_BOTTLENECKS: usize = 29;

impl ResNet {
    /// Reads what follows `resnet`, `wide-resnet` or `resnext`: `50`, `50-2`, `50-32x4d`; then
    /// `width=64,stem=imagenet`, and elements.
    ///
    /// # Errors
    /// What does not parse, or a depth that is not known.
    pub fn parse(word: &str, keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[&[MODEL, "width", "stem"], Elements::KEYS])?;
        let model = keys.text(MODEL).unwrap_or_default();
        let example = match word {
            "wide-resnet" => "50-2",
            "resnext" => "50-32x4d",
            _ => "50",
        };
        let unknown = || Fault::of(MODEL, format!("`{model}` is no model of `{word}`; expected one such as {example}"));
        let number = |text: &str| positive(text).filter(|n| *n <= WIDEST).ok_or_else(unknown);
        let (depth, kind) = match (word, model.split_once('-')) {
            ("resnet", None) => (number(&model)?, Kind::ResNet),
            ("wide-resnet", Some((depth, times))) => (number(depth)?, Kind::Wide(number(times)?)),
            ("resnext", Some((depth, groups))) => {
                let (groups, width) = groups.strip_suffix('d').and_then(|g| g.split_once('x')).ok_or_else(unknown)?;
                (number(depth)?, Kind::Next { groups: number(groups)?, width: number(width)? })
            }
            _ => return Err(unknown()),
        };
        let net = ResNet {
            kind,
            depth,
            width: keys.count("width")?.unwrap_or_else(|| usual_width(depth)),
            stem: keys.value("stem")?,
            elements: Elements::take(keys, Elements::default())?,
        };
        let fits = |(_, bottleneck): (_, bool)| bottleneck || kind == Kind::ResNet;
        match net.stages().filter(|stages| fits(stages.clone())) {
            Some(_) => Ok(net),
            None => {
                let four = DEPTHS.iter().filter(|(_, _, bottleneck)| *bottleneck || kind == Kind::ResNet);
                let mut known: Vec<usize> = four.map(|(depth, ..)| *depth).collect();
                if kind == Kind::ResNet {
                    known.extend(CIFAR);
                }
                known.push(CIFAR_BOTTLENECKS);
                let known = known.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
                Err(Fault::of(MODEL, format!("no `{word}` has depth {depth}; known: {known}")))
            }
        }
    }

    /// The word before the colon.
    pub fn word(&self) -> &'static str {
        match self.kind {
            Kind::ResNet => "resnet",
            Kind::Wide(_) => "wide-resnet",
            Kind::Next { .. } => "resnext",
        }
    }

    /// The blocks of every stage, and whether these are bottlenecks.
    fn stages(&self) -> Option<(Vec<usize>, bool)> {
        if CIFAR.contains(&self.depth) {
            return Some((vec![(self.depth - 2) / 6; 3], false));
        }
        if self.depth == CIFAR_BOTTLENECKS {
            return Some((vec![(self.depth - 2) / 9; 3], true));
        }
        let known = DEPTHS.iter().find(|(depth, ..)| *depth == self.depth);
        known.map(|(_, blocks, bottleneck)| (blocks.to_vec(), *bottleneck))
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// [`Error::Net`] for a depth that is not known, and where image, elements and widths do not fit together.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        let (stages, bottleneck) =
            self.stages().ok_or_else(|| Error::Net(format!("no residual network has depth {}", self.depth)))?;
        let stem = self.stem.unwrap_or_else(|| if stages.len() == 3 { Stem::Cifar } else { Stem::of(image.h) });
        let mut net = Net::new();
        let image = net.add("image", Op::Input { shape: image }, &[])?;
        let mut x = stem.activated(Chain::new(&mut net, "stem", image, &self.elements), self.width)?.end();
        let (mut nth, of) = (0, stages.iter().sum());
        for (s, blocks) in stages.into_iter().enumerate() {
            for b in 0..blocks {
                let stride = if s > 0 && b == 0 { 2 } else { 1 };
                let chain = Chain::new(&mut net, format!("stage{s}.block{b}"), x, &self.elements);
                x = self.block(chain, self.width << s, bottleneck, stride, (nth, of))?;
                nth += 1;
            }
        }
        let head = Chain::new(&mut net, "head", x, &self.elements).push("pool", Op::GlobalAvgPool)?;
        head.dropout("dropout")?.push("fc", Op::Linear { out: classes, bias: true })?;
        net.validate()?;
        Ok(net)
    }

    fn block(
        &self,
        x: Chain<'_>,
        width: usize,
        bottleneck: bool,
        stride: usize,
        (nth, of): (usize, usize),
    ) -> Result<NodeId> {
        let out = if bottleneck { 4 * width } else { width };
        let (raw, changes) = (x.at(), stride != 1 || x.shape().c != out);
        let x = x.when(changes, |x| x.conv("shortcut", out, Window::square(1, stride, 0))?.norm("shortcut_bn"))?;
        let shortcut = x.at();
        let branch = if bottleneck {
            let (inner, groups) = self.inner(width);
            x.back(raw)
                .conv("conv1", inner, Window::square(1, 1, 0))?
                .norm("bn1")?
                .act("relu1")?
                .grouped("conv2", inner, Window::same(3, stride, 1), groups)?
                .norm("bn2")?
                .act("relu2")?
                .conv("conv3", out, Window::square(1, 1, 0))?
                .norm("bn3")?
        } else {
            x.back(raw)
                .conv("conv1", out, Window::same(3, stride, 1))?
                .norm("bn1")?
                .act("relu1")?
                .conv("conv2", out, Window::same(3, 1, 1))?
                .norm("bn2")?
        };
        Ok(branch.gate("se")?.residual(shortcut, nth, of)?.act("relu")?.end())
    }

    /// Channels and groups of the 3x3 convolution in a stage of a width.
    fn inner(&self, width: usize) -> (usize, usize) {
        match self.kind {
            Kind::ResNet => (width, 1),
            Kind::Wide(times) => (width * times, 1),
            Kind::Next { groups, width: each } => (width * each / WIDTH * groups, groups),
        }
    }
}

/// Channels of the first stage of a four-stage network, and of one of bottlenecks.
const WIDTH: usize = 64;

fn usual_width(depth: usize) -> usize {
    if CIFAR.contains(&depth) { 16 } else { WIDTH }
}

impl fmt::Display for ResNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.depth)?;
        match self.kind {
            Kind::ResNet => {}
            Kind::Wide(times) => write!(f, "-{times}")?,
            Kind::Next { groups, width } => write!(f, "-{groups}x{width}d")?,
        }
        if self.width != usual_width(self.depth) {
            write!(f, ",width={}", self.width)?;
        }
        if let Some(stem) = self.stem {
            write!(f, ",stem={stem}")?;
        }
        write!(f, "{}", self.elements.beside(&Elements::default()))
    }
}
