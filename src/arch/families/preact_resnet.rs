//! Pre-activation residual networks of basic blocks, CIFAR style: the hand-made control of every ranking, and the
//! networks that adversarial training is usually measured on.
//!
//! Source: He et al. 2016 (identity mappings), Zagoruyko and Komodakis 2016 (the three-stage layout). A block is
//! BN-ReLU-conv-BN-ReLU-conv plus a shortcut; the shortcut of a changing block is a 1x1 convolution of the first ReLU.

use crate::arch::cell::Chain;
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::{Error, Result};

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
    /// Known depths with the blocks of their four stages (He et al. 2016).
    const DEPTHS: [(usize, [usize; 4]); 1] = [(18, [2, 2, 2, 2])];

    /// The blocks of each of the four stages of a network of a depth.
    ///
    /// # Errors
    /// [`Error::Usage`] for a depth that is not known.
    pub fn blocks(depth: usize) -> Result<[usize; 4]> {
        Self::DEPTHS.iter().find(|(d, _)| *d == depth).map(|(_, blocks)| *blocks).ok_or_else(|| {
            let known: Vec<String> = Self::DEPTHS.iter().map(|(d, _)| d.to_string()).collect();
            Error::Usage(format!("no pre-activation network has depth {depth}; known: {}", known.join(", ")))
        })
    }

    /// Four stages of `width`, `2 width`, `4 width` and `8 width` channels.
    ///
    /// # Errors
    /// That of [`Self::blocks`].
    pub fn basic(image: Shape, classes: usize, depth: usize, width: usize) -> Result<Self> {
        let stages = Self::blocks(depth)?.into_iter().enumerate().map(|(s, blocks)| (blocks, width << s)).collect();
        Ok(PreActResNet { image, classes, stem: width, stages })
    }

    /// The blocks of each of the three stages of a wide network of a depth.
    ///
    /// # Errors
    /// [`Error::Usage`] for a depth that is not `6 n + 4`.
    pub fn wide_blocks(depth: usize) -> Result<usize> {
        match depth {
            10.. if (depth - 4).is_multiple_of(6) => Ok((depth - 4) / 6),
            _ => {
                let below = 6 * (depth.max(10) - 4).div_euclid(6) + 4;
                Err(Error::Usage(format!(
                    "a wide network has depth 6 n + 4, not {depth}; the nearest are {below} and {}",
                    below + 6
                )))
            }
        }
    }

    /// WRN-depth-width (Zagoruyko and Komodakis 2016): a stem of 16, three stages of 16, 32 and 64 times `width`.
    ///
    /// # Errors
    /// That of [`Self::wide_blocks`].
    pub fn wide(image: Shape, classes: usize, depth: usize, width: usize) -> Result<Self> {
        let blocks = Self::wide_blocks(depth)?;
        Ok(PreActResNet { image, classes, stem: 16, stages: [16, 32, 64].map(|c| (blocks, c * width)).into() })
    }

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
