//! Selective kernel networks (Li et al. 2019): every unit chooses among kernel sizes, channel by channel.
//!
//! Unit: 1x1 convolution, selective kernel, 1x1 convolution, each with batch-norm; ReLU after the first two and after
//! the sum with the shortcut (a 1x1 convolution and batch-norm where the size or the channels change). Selective kernel
//! `SK[M, G, r]`: `M` grouped convolutions side by side, each with batch-norm and ReLU; their sum, averaged over the
//! pixels, goes through a linear layer to `max(c / r, L)` with `L = 32`, batch-norm, ReLU and a linear layer to `M c`,
//! none with a bias; a softmax over the branches gives every branch's weight in every channel.
//!
//! Kernels of 5 and 7 are 3x3 with dilation 2 and 3, as in the paper. The maximum pool of the stem is padded by a
//! pixel, where the released Caffe files round sizes up: the sizes agree.
//!
//! SKNet-29 for CIFAR: kernels 1 and 3, 16 groups and `r = 32`, which no source states; with kernels 3 and 5 it would
//! have 36.2 M parameters instead of the published 27.7 M.
//!
//! Depths 18 and 34 are timm's: basic blocks whose first 3x3 convolution is the selective kernel, of one group, every
//! branch reading its own part of the channels (`split`), `r = 8` and no fewer than 16 channels of choice. timm's
//! `skresnet50` is `sknet:50,width=64,groups=1,least=8,split=true`.
//!
//! Forms: `sknet:50`, `sknet:29` for CIFAR, `sknet:50,kernels=3-5-7`, `sknet:18`.

use std::fmt;

use super::stem::Stem;
use crate::arch::chain::Chain;
use crate::arch::elements::Elements;
use crate::arch::keys::{Fault, Keys, MODEL};
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::{Error, Result};

/// The elements a selective kernel network leaves open; its gate is the selection.
const KEYS: &[&str] = &["act", "norm", "down", "drop-path", "layer-scale"];

/// A selective kernel network.
#[derive(Clone, Debug, PartialEq)]
pub struct SkNet {
    /// Layers with weights on the longest path; a known one.
    pub depth: usize,
    /// Kernel sizes of the convolutions side by side, odd; `M` is how many.
    pub kernels: Vec<usize>,
    /// Their groups, `G`.
    pub groups: usize,
    /// What channels are divided by before the choice, `r`.
    pub reduction: usize,
    /// The fewest channels the choice is made in, `L`.
    pub least: usize,
    /// Channels of the first stage's selective kernels.
    pub width: usize,
    /// Whether the input channels are divided among the branches, as in timm; else each reads all.
    pub split: bool,
    /// Activation, normalisation, downsampling, stochastic depth, layer scale.
    pub elements: Elements,
}

/// One unit of a stage.
struct Unit<'a> {
    prefix: &'a str,
    /// Channels of the selective kernel.
    width: usize,
    /// Output channels.
    out: usize,
    stride: usize,
}

/// A published network. Channels double from stage to stage, and every stage but the first halves the size.
struct Published {
    depth: usize,
    stem: Stem,
    /// Units of every stage.
    units: &'static [usize],
    /// Whether a unit is a selective kernel and a 3x3 convolution of its width.
    basic: bool,
    /// Channels of the first stage's selective kernels.
    width: usize,
    kernels: &'static [usize],
    groups: usize,
    reduction: usize,
    least: usize,
    split: bool,
}

/// Output channels of the stem.
const STEM: usize = 64;

/// Output channels of the first stage, but for basic units.
const OUT: usize = 256;

const IMAGENET: Published = Published {
    depth: 50,
    stem: Stem::ImageNet,
    units: &[3, 4, 6, 3],
    basic: false,
    width: 128,
    kernels: &[3, 5],
    groups: 32,
    reduction: 16,
    least: 32,
    split: false,
};

const BASIC: Published =
    Published { basic: true, width: 64, groups: 1, reduction: 8, least: 16, split: true, ..IMAGENET };

const PUBLISHED: [Published; 6] = [
    Published { depth: 18, units: &[2, 2, 2, 2], ..BASIC },
    Published { depth: 26, units: &[2, 2, 2, 2], ..IMAGENET },
    Published {
        depth: 29,
        stem: Stem::Cifar,
        units: &[3, 3, 3],
        width: 512,
        kernels: &[1, 3],
        groups: 16,
        reduction: 32,
        ..IMAGENET
    },
    Published { depth: 34, ..BASIC },
    IMAGENET,
    Published { depth: 101, units: &[3, 4, 23, 3], ..IMAGENET },
];

fn published(depth: usize) -> Option<&'static Published> {
    PUBLISHED.iter().find(|known| known.depth == depth)
}

impl SkNet {
    /// Reads `50`, `kernels=3-5`, `groups=32`, `reduction=16`, `least=32`, `width=128`, `split=false`, and elements.
    ///
    /// # Errors
    /// What does not parse, or a depth that is not known.
    pub fn parse(keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[&[MODEL, "kernels", "groups", "reduction", "least", "width", "split"], KEYS])?;
        let depth = keys.text(MODEL).unwrap_or_default();
        let known = depth.parse().ok().and_then(published).ok_or_else(|| {
            let known: Vec<String> = PUBLISHED.iter().map(|p| p.depth.to_string()).collect();
            let why = format!("no selective kernel network has depth `{depth}`; known: {}", known.join(", "));
            Fault::of(MODEL, why)
        })?;
        let kernels = keys.counts("kernels")?.unwrap_or_else(|| known.kernels.to_vec());
        if let Some(even) = kernels.iter().find(|k| k.is_multiple_of(2)) {
            return Err(Fault::of("kernels", format!("{even} is even; expected odd kernel sizes such as 3-5")));
        }
        if (1..kernels.len()).any(|i| kernels[..i].contains(&kernels[i])) {
            return Err(Fault::of("kernels", "a kernel size is given twice"));
        }
        Ok(SkNet {
            depth: known.depth,
            kernels,
            groups: keys.count("groups")?.unwrap_or(known.groups),
            reduction: keys.count("reduction")?.unwrap_or(known.reduction),
            least: keys.count("least")?.unwrap_or(known.least),
            width: keys.count("width")?.unwrap_or(known.width),
            split: keys.flag("split")?.unwrap_or(known.split),
            elements: Elements::take(keys, Elements::default())?,
        })
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// [`Error::Net`] for an image that is too small, or groups or branches that do not divide the channels.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        let known = published(self.depth).unwrap_or(&IMAGENET);
        let mut net = Net::new();
        let pixels = net.add("image", Op::Input { shape: image }, &[])?;
        let stem = Chain::new(&mut net, "stem", pixels, &self.elements);
        let mut x = known.stem.activated(stem, STEM)?.end();
        let (mut behind, all) = (0, known.units.iter().sum());
        for (s, units) in known.units.iter().enumerate() {
            let width = self.width << s;
            for u in 0..*units {
                let unit = Unit {
                    prefix: &format!("stage{s}.block{u}"),
                    width,
                    out: if known.basic { width } else { OUT << s },
                    stride: if s > 0 && u == 0 { 2 } else { 1 },
                };
                let branch =
                    if known.basic { self.basic(&mut net, &unit, x) } else { self.bottleneck(&mut net, &unit, x) };
                x = self.join(&mut net, &unit, x, branch?, [behind + u, all])?;
            }
            behind += units;
        }
        let head = Chain::new(&mut net, "head", x, &self.elements).push("pool", Op::GlobalAvgPool)?;
        head.push("fc", Op::Linear { out: classes, bias: true })?;
        net.validate()?;
        Ok(net)
    }

    /// The branch of a unit: 1x1 convolution, selective kernel, 1x1 convolution.
    fn bottleneck(&self, net: &mut Net, unit: &Unit<'_>, x: NodeId) -> Result<NodeId> {
        let point = Window::square(1, 1, 0);
        let narrow = Chain::new(net, unit.prefix, x, &self.elements).conv("conv1", unit.width, point)?;
        let narrow = narrow.norm("bn1")?.act("act1")?.end();
        let chosen = self.selective_kernel(net, unit, narrow)?;
        let body = Chain::new(net, unit.prefix, chosen, &self.elements).conv("conv3", unit.out, point)?;
        Ok(body.norm("bn3")?.end())
    }

    /// The branch of a basic unit: selective kernel, 3x3 convolution.
    fn basic(&self, net: &mut Net, unit: &Unit<'_>, x: NodeId) -> Result<NodeId> {
        let chosen = self.selective_kernel(net, unit, x)?;
        let body = Chain::new(net, unit.prefix, chosen, &self.elements);
        Ok(body.conv("conv2", unit.out, Window::same(3, 1, 1))?.norm("bn2")?.end())
    }

    /// Adds the shortcut to a branch, and activates the sum.
    fn join(&self, net: &mut Net, unit: &Unit<'_>, x: NodeId, branch: NodeId, [i, all]: [usize; 2]) -> Result<NodeId> {
        let skipped = if unit.stride != 1 || net.node(x).shape.c != unit.out {
            let shortcut = Chain::new(net, format!("{}.shortcut", unit.prefix), x, &self.elements);
            shortcut.conv("conv", unit.out, Window::square(1, unit.stride, 0))?.norm("bn")?.end()
        } else {
            x
        };
        let body = Chain::new(net, unit.prefix, branch, &self.elements);
        Ok(body.residual(skipped, i, all)?.act("act3")?.end())
    }

    fn selective_kernel(&self, net: &mut Net, unit: &Unit<'_>, x: NodeId) -> Result<NodeId> {
        let Unit { prefix, width: c, stride, .. } = *unit;
        let seen = self.seen(net, prefix, x)?;
        let branches = self
            .kernels
            .iter()
            .zip(seen)
            .map(|(k, x)| {
                let window = if *k == 1 { Window::square(1, stride, 0) } else { Window::same(3, stride, (k - 1) / 2) };
                let branch = Chain::new(net, format!("{prefix}.kernel{k}"), x, &self.elements);
                Ok(branch.grouped("conv", c, window, self.groups)?.norm("bn")?.act("act")?.end())
            })
            .collect::<Result<Vec<_>>>()?;
        let fused = net.add(format!("{prefix}.fuse"), Op::Add, &branches)?;
        let plain = |out| Op::Linear { out, bias: false };
        let weights = Chain::new(net, format!("{prefix}.select"), fused, &self.elements)
            .push("pool", Op::GlobalAvgPool)?
            .push("fc1", plain((c / self.reduction).max(self.least)))?
            .norm("bn")?
            .relu("relu")?
            .push("fc2", plain(c * branches.len()))?
            .push("softmax", Op::Softmax { over: branches.len() })?
            .end();
        let mut terms = Vec::with_capacity(branches.len());
        for (i, (branch, k)) in branches.into_iter().zip(&self.kernels).enumerate() {
            let weight = net.add(format!("{prefix}.kernel{k}.share"), Op::Slice { from: i * c, len: c }, &[weights])?;
            terms.push(net.add(format!("{prefix}.kernel{k}.scale"), Op::Mul, &[branch, weight])?);
        }
        net.add(format!("{prefix}.select.add"), Op::Add, &terms)
    }

    /// The input of every branch.
    fn seen(&self, net: &mut Net, prefix: &str, x: NodeId) -> Result<Vec<NodeId>> {
        let (branches, c) = (self.kernels.len(), net.node(x).shape.c);
        if !self.split {
            return Ok(vec![x; branches]);
        }
        if !c.is_multiple_of(branches) {
            return Err(Error::Net(format!("`{prefix}`: {branches} branches cannot share {c} channels out equally")));
        }
        let own = |(i, k)| {
            let slice = Op::Slice { from: i * c / branches, len: c / branches };
            net.add(format!("{prefix}.kernel{k}.split"), slice, &[x])
        };
        self.kernels.iter().enumerate().map(own).collect()
    }
}

impl fmt::Display for SkNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = published(self.depth).unwrap_or(&IMAGENET);
        write!(f, "{}", self.depth)?;
        if self.kernels != known.kernels {
            let kernels: Vec<String> = self.kernels.iter().map(usize::to_string).collect();
            write!(f, ",kernels={}", kernels.join("-"))?;
        }
        for (key, own, value) in [
            ("groups", known.groups, self.groups),
            ("reduction", known.reduction, self.reduction),
            ("least", known.least, self.least),
            ("width", known.width, self.width),
        ] {
            if value != own {
                write!(f, ",{key}={value}")?;
            }
        }
        if self.split != known.split {
            write!(f, ",split={}", self.split)?;
        }
        write!(f, "{}", self.elements.beside(&Elements::default()))
    }
}
