//! Pre-activation residual networks by their stages: what PreActResNet and the wide networks share.
//!
//! Source: He et al. 2016 (identity mappings). A block is norm-act-conv-norm-act-conv plus a shortcut; the shortcut of a
//! changing block is a 1x1 convolution of the first activation.

use crate::arch::chain::Chain;
use crate::arch::elements::Elements;
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::Result;

/// A stem convolution, stages of which every one but the first halves the size, and a linear head.
#[derive(Clone, Debug, PartialEq)]
pub struct PreAct {
    /// Channels of the stem convolution.
    pub stem: usize,
    /// `(blocks, channels)` per stage.
    pub stages: Vec<(usize, usize)>,
    /// What the blocks are made of.
    pub elements: Elements,
}

impl PreAct {
    /// A network of basic blocks with the default elements.
    pub fn basic(stem: usize, stages: impl Into<Vec<(usize, usize)>>) -> Self {
        PreAct { stem, stages: stages.into(), elements: Elements::default() }
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// [`Error::Net`](crate::error::Error::Net) where elements and widths do not fit together.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        let mut net = Net::new();
        let image = net.add("image", Op::Input { shape: image }, &[])?;
        let stem = Chain::new(&mut net, "stem", image, &self.elements);
        let mut x = stem.conv("conv", self.stem, Window::same(3, 1, 1))?.end();
        let blocks = self.stages.iter().map(|(blocks, _)| blocks).sum();
        let mut placed = 0;
        for (s, &(count, channels)) in self.stages.iter().enumerate() {
            for b in 0..count {
                let stride = if s > 0 && b == 0 { 2 } else { 1 };
                let prefix = format!("stage{s}.block{b}");
                x = self.block(&mut net, &prefix, x, channels, stride, (placed, blocks))?;
                placed += 1;
            }
        }
        let head = Chain::new(&mut net, "head", x, &self.elements).norm("bn")?.act("relu")?;
        head.push("pool", Op::GlobalAvgPool)?.push("fc", Op::Linear { out: classes, bias: true })?;
        net.validate()?;
        Ok(net)
    }

    fn block(
        &self,
        net: &mut Net,
        prefix: &str,
        x: NodeId,
        channels: usize,
        stride: usize,
        (block, blocks): (usize, usize),
    ) -> Result<NodeId> {
        let pre = Chain::new(net, prefix, x, &self.elements);
        let changes = stride != 1 || pre.shape().c != channels;
        let pre = pre.norm("bn1")?.act("relu1")?;
        let activated = pre.at();
        let (pre, shortcut) = if changes {
            let chain = pre.conv("shortcut", channels, Window::square(1, stride, 0))?;
            let shortcut = chain.at();
            (chain, shortcut)
        } else {
            (pre, x)
        };
        let body = pre
            .back(activated)
            .conv("conv1", channels, Window::same(3, stride, 1))?
            .norm("bn2")?
            .act("relu2")?
            .dropout("dropout")?
            .conv("conv2", channels, Window::same(3, 1, 1))?
            .gate("se")?;
        Ok(body.residual(shortcut, block, blocks)?.end())
    }
}
