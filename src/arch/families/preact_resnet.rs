//! Pre-activation residual networks of basic blocks, CIFAR style: the hand-made control of every ranking.
//!
//! Source: He et al. 2016 (identity mappings), Zagoruyko and Komodakis 2016 (the three-stage layout). A block is
//! BN-ReLU-conv-BN-ReLU-conv plus a shortcut; the shortcut of a changing block is a 1x1 convolution of the first ReLU.

use crate::arch::cell::Chain;
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::Result;

/// Depth (blocks) and channels of each stage; every stage but the first halves the size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreActResNet {
    /// Image `[h, w, c]`.
    pub image: Shape,
    /// Classes.
    pub classes: usize,
    /// Channels of the stem convolution.
    pub stem: usize,
    /// `(blocks, channels)` per stage.
    pub stages: Vec<(usize, usize)>,
}

impl PreActResNet {
    /// Lowers to a network.
    pub fn lower(&self) -> Result<Net> {
        let mut net = Net::new();
        let image = net.add("image", Op::Input { shape: self.image }, &[])?;
        let mut x = Chain::new(&mut net, "stem", image, true).conv("conv", self.stem, Window::same(3, 1, 1))?.end();
        for (s, &(blocks, channels)) in self.stages.iter().enumerate() {
            for b in 0..blocks {
                let stride = if s > 0 && b == 0 { 2 } else { 1 };
                x = block(&mut net, &format!("stage{s}.block{b}"), x, channels, stride)?;
            }
        }
        let tail = Chain::new(&mut net, "head", x, true).norm("bn")?.relu("relu")?.push("pool", Op::GlobalAvgPool)?;
        tail.push("fc", Op::Linear { out: self.classes, bias: true })?;
        net.validate()?;
        Ok(net)
    }
}

fn block(net: &mut Net, prefix: &str, x: NodeId, channels: usize, stride: usize) -> Result<NodeId> {
    let pre = Chain::new(net, prefix, x, true).norm("bn1")?.relu("relu1")?.end();
    let shortcut = if stride != 1 || net.node(x).shape.c != channels {
        Chain::new(net, prefix, pre, true).conv("shortcut", channels, Window::square(1, stride, 0))?.end()
    } else {
        x
    };
    let body = Chain::new(net, prefix, pre, true)
        .conv("conv1", channels, Window::same(3, stride, 1))?
        .norm("bn2")?
        .relu("relu2")?
        .conv("conv2", channels, Window::same(3, 1, 1))?
        .end();
    net.add(format!("{prefix}.add"), Op::Add, &[body, shortcut])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::cost::cost;
    use crate::units::Params;

    /// The WRN-28-10 count of the paper (36.5 M) to the unit, with the body above.
    #[test]
    fn wrn_28_10_parameters() {
        let net = PreActResNet {
            image: Shape::new(32, 32, 3),
            classes: 10,
            stem: 16,
            stages: vec![(4, 160), (4, 320), (4, 640)],
        };
        assert_eq!(cost(&net.lower().unwrap()).params, Params(36_479_194));
    }
}
