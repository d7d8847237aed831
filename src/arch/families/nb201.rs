//! The NAS-Bench-201 network around a cell.
//!
//! Source: Dong and Yang 2020. Stem: 3x3 convolution to `C` and batch-norm; three stages of `N` cells with widths
//! `C, 2C, 4C`; between stages a residual block that halves the size: two ReLU-conv3x3-BN, the shortcut a 2x2 average
//! pool and a bias-free 1x1 convolution, no activation after the sum; then BN, ReLU, global pool, linear layer.
//! The order of layers inside blocks is not spelled out in the paper; it is confirmed by the benchmark's published
//! smallest and largest counts (0.073306 M and 1.531546 M parameters), which this lowering reproduces exactly.

use crate::arch::cell::lower;
use crate::arch::chain::Chain;
use crate::arch::elements::Elements;
use crate::arch::nb201::Nb201Cell;
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::Result;

/// A network of one repeated cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nb201Net {
    /// Image `[h, w, c]`.
    pub image: Shape,
    /// Classes.
    pub classes: usize,
    /// Channels of the first stage; 16 in the benchmark.
    pub channels: usize,
    /// Cells per stage; 5 in the benchmark.
    pub cells: usize,
    /// The cell.
    pub cell: Nb201Cell,
}

impl Nb201Net {
    /// The benchmark's network: 16 channels, 5 cells a stage.
    pub fn benchmark(image: Shape, classes: usize, cell: Nb201Cell) -> Self {
        Nb201Net { image, classes, channels: 16, cells: 5, cell }
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// [`Error::Net`](crate::error::Error::Net) for no channels or classes, and for an image that cannot be halved twice.
    pub fn lower(&self) -> Result<Net> {
        let mut net = Net::new();
        let image = net.add("image", Op::Input { shape: self.image }, &[])?;
        let stem = Chain::new(&mut net, "stem", image, &Elements::default()).conv(
            "conv",
            self.channels,
            Window::same(3, 1, 1),
        )?;
        let mut x = stem.norm("bn")?.end();
        for stage in 0..3 {
            if stage > 0 {
                x = residual(&mut net, &format!("stage{stage}.reduce"), x, self.channels << stage)?;
            }
            for i in 0..self.cells {
                x = place(&mut net, &format!("stage{stage}.cell{i}"), &self.cell, x)?;
            }
        }
        let tail = Chain::new(&mut net, "head", x, &Elements::default())
            .norm("bn")?
            .relu("relu")?
            .push("pool", Op::GlobalAvgPool)?;
        tail.push("fc", Op::Linear { out: self.classes, bias: true })?;
        net.validate()?;
        Ok(net)
    }
}

fn place(net: &mut Net, prefix: &str, cell: &Nb201Cell, x: NodeId) -> Result<NodeId> {
    let mut states = vec![x];
    for target in 1..4 {
        let mut terms = Vec::with_capacity(target);
        for (op, (from, _)) in cell.ops().into_iter().zip(Nb201Cell::EDGES).filter(|(_, (_, to))| *to == target) {
            terms.push(lower(net, &format!("{prefix}.edge{from}_{target}.{op}"), op, states[from], 1, true, false)?);
        }
        states.push(net.add(format!("{prefix}.node{target}"), Op::Add, &terms)?);
    }
    Ok(states[3])
}

fn residual(net: &mut Net, prefix: &str, x: NodeId, channels: usize) -> Result<NodeId> {
    let body = Chain::new(net, prefix, x, &Elements::default())
        .relu("relu1")?
        .conv("conv1", channels, Window::same(3, 2, 1))?
        .norm("bn1")?
        .relu("relu2")?
        .conv("conv2", channels, Window::same(3, 1, 1))?
        .norm("bn2")?
        .end();
    let pool = Op::AvgPool { window: Window::square(2, 2, 0), count_include_pad: false };
    let shortcut = Chain::new(net, prefix, x, &Elements::default())
        .push("pool", pool)?
        .conv("shortcut", channels, Window::square(1, 1, 0))?
        .end();
    net.add(format!("{prefix}.add"), Op::Add, &[body, shortcut])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::arch::cost::cost;
    use crate::units::{Macs, Params};

    fn counts(cell: &str) -> (Params, Macs) {
        let cell = Nb201Cell::parse(cell, Path::new("test")).unwrap();
        let cost = cost(&Nb201Net::benchmark(Shape::new(32, 32, 3), 10, cell).lower().unwrap());
        (cost.params, cost.macs)
    }

    /// The benchmark's extremes on CIFAR-10: 0.073306 M and 1.531546 M parameters, 7.78305 M and 220.11969 M
    /// operations; the benchmark counts the ten additions of the last bias too.
    #[test]
    fn published_extremes() {
        let least = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";
        assert_eq!(counts(least), (Params(73_306), Macs(7_783_050 - 10)));
        assert_eq!(counts(&least.replace("none", "nor_conv_3x3")), (Params(1_531_546), Macs(220_119_690 - 10)));
    }

    /// One 3x3 convolution less per cell: 15 cells, 9 C^2 + 2 C each.
    #[test]
    fn a_skip_costs_nothing() {
        let (params, _) =
            counts("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|");
        let edge: u64 = [16u64, 32, 64].iter().map(|c| 5 * (9 * c * c + 2 * c)).sum();
        assert_eq!(params, Params(1_531_546 - edge));
    }
}
