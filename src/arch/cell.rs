//! The operations a cell chooses from, and how each is lowered to primitive ones (bodies as in DARTS, bias-free).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::chain::Chain;
use super::elements::{Elements, Norm};
use super::net::{Net, NodeId};
use super::op::{Act, Op, Window};
use crate::error::{Error, Result, nearest};

/// A candidate operation of a cell's edge. The text forms are those of the DARTS and NAS-Bench-201 literature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CellOp {
    /// `none`: zeros.
    None,
    /// `max_pool_KxK`.
    MaxPool(usize),
    /// `avg_pool_KxK`, padding not counted.
    AvgPool(usize),
    /// `skip_connect`: identity, or a factorised reduction where the edge is strided.
    SkipConnect,
    /// `sep_conv_KxK`: depthwise separable convolution, twice.
    SepConv(usize),
    /// `dil_conv_KxK`: dilated depthwise separable convolution.
    DilConv(usize),
    /// `nor_conv_KxK` (NAS-Bench-201): ReLU, convolution, batch-norm.
    NorConv(usize),
    /// `conv_7x1_1x7` (AmoebaNet): 1x7 then 7x1.
    Conv7x1_1x7,
}

impl CellOp {
    /// Every operation that a file may use.
    pub const ALL: [CellOp; 15] = [
        CellOp::None,
        CellOp::MaxPool(3),
        CellOp::AvgPool(3),
        CellOp::SkipConnect,
        CellOp::SepConv(3),
        CellOp::SepConv(5),
        CellOp::SepConv(7),
        CellOp::DilConv(3),
        CellOp::DilConv(5),
        CellOp::NorConv(1),
        CellOp::NorConv(3),
        CellOp::Conv7x1_1x7,
        CellOp::MaxPool(5),
        CellOp::AvgPool(5),
        CellOp::NorConv(7),
    ];

    /// Whether the operation has weights (used to report the share of skips and pools, which have none at stride 1).
    pub fn has_weights(self) -> bool {
        match self {
            CellOp::None | CellOp::MaxPool(_) | CellOp::AvgPool(_) | CellOp::SkipConnect => false,
            CellOp::SepConv(_) | CellOp::DilConv(_) | CellOp::NorConv(_) | CellOp::Conv7x1_1x7 => true,
        }
    }
}

impl fmt::Display for CellOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            CellOp::None => "none".to_owned(),
            CellOp::MaxPool(k) => format!("max_pool_{k}x{k}"),
            CellOp::AvgPool(k) => format!("avg_pool_{k}x{k}"),
            CellOp::SkipConnect => "skip_connect".to_owned(),
            CellOp::SepConv(k) => format!("sep_conv_{k}x{k}"),
            CellOp::DilConv(k) => format!("dil_conv_{k}x{k}"),
            CellOp::NorConv(k) => format!("nor_conv_{k}x{k}"),
            CellOp::Conv7x1_1x7 => "conv_7x1_1x7".to_owned(),
        };
        f.pad(&text)
    }
}

impl FromStr for CellOp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<String> = CellOp::ALL.iter().map(CellOp::to_string).collect();
        if let Some(i) = names.iter().position(|n| n == text) {
            return Ok(CellOp::ALL[i]);
        }
        let hint = match nearest(text, names.iter().map(String::as_str)) {
            Some(name) => format!("; did you mean `{name}`?"),
            None => format!("; known: {}", names.join(", ")),
        };
        Err(format!("unknown operation `{text}`{hint}"))
    }
}

impl Serialize for CellOp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CellOp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for CellOp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CellOp".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<String> = CellOp::ALL.iter().map(CellOp::to_string).collect();
        schemars::json_schema!({"type": "string", "enum": names})
    }
}

/// The elements of a cell; `affine` says whether its batch-norms learn a scale and a shift.
fn elements(affine: bool) -> Elements {
    Elements { norm: if affine { Norm::Batch } else { Norm::PlainBatch }, ..Elements::default() }
}

/// ReLU, 1x1 convolution, batch-norm.
///
/// # Errors
/// As [`Net::add`].
pub fn relu_conv_norm(net: &mut Net, prefix: &str, x: NodeId, out: usize, affine: bool) -> Result<NodeId> {
    let chain = Chain::new(net, prefix, x, &elements(affine));
    Ok(chain.relu("relu")?.conv("conv", out, Window::square(1, 1, 0))?.norm("bn")?.end())
}

/// Halves the size (factorised reduction): ReLU, then two 1x1 convolutions of stride 2, the second shifted by a pixel,
/// so that not all outputs sample the same pixels.
///
/// # Errors
/// [`Error::Net`] for an odd `out` and for a map that a stride of 2 does not fit; as [`Net::add`].
pub fn factorized_reduce(net: &mut Net, prefix: &str, x: NodeId, out: usize, affine: bool) -> Result<NodeId> {
    if !out.is_multiple_of(2) {
        return Err(Error::Net(format!(
            "`{prefix}`: a factorised reduction needs an even number of channels, got {out}"
        )));
    }
    let half = Window::square(1, 2, 0);
    let elements = elements(affine);
    let relu = net.add(format!("{prefix}.relu"), Op::Act { act: Act::Relu }, &[x])?;
    let a = Chain::new(net, prefix, relu, &elements).conv("conv1", out / 2, half)?.end();
    let shift =
        Chain::new(net, prefix, relu, &elements).push("shift", Op::Crop { top: 1, left: 1, bottom: 0, right: 0 })?;
    let b = shift.conv("conv2", out / 2, half)?.end();
    let both = net.add(format!("{prefix}.concat"), Op::Concat, &[a, b])?;
    Ok(Chain::new(net, prefix, both, &elements).norm("bn")?.end())
}

/// Lowers one candidate operation on `x` with the given spatial stride and as many channels.
///
/// `pool_norm` adds a batch-norm after pools, as in supernets, so that no operation is preferred for its scale alone.
///
/// # Errors
/// [`Error::Net`] for an odd number of channels under a strided skip; as [`Net::add`].
pub fn lower(
    net: &mut Net,
    prefix: &str,
    op: CellOp,
    x: NodeId,
    stride: usize,
    affine: bool,
    pool_norm: bool,
) -> Result<NodeId> {
    let c = net.node(x).shape.c;
    let elements = &elements(affine);
    let point = Window::square(1, 1, 0);
    let pool = |net: &mut Net, op: Op| {
        let chain = Chain::new(net, prefix, x, elements).push("pool", op)?;
        Ok::<_, Error>(if pool_norm { chain.norm("bn")? } else { chain }.end())
    };
    match op {
        CellOp::None => net.add(format!("{prefix}.zero"), Op::Zero { stride }, &[x]),
        CellOp::MaxPool(k) => pool(net, Op::MaxPool { window: Window::same(k, stride, 1) }),
        CellOp::AvgPool(k) => pool(net, Op::AvgPool { window: Window::same(k, stride, 1), count_include_pad: false }),
        CellOp::SkipConnect if stride == 1 => Ok(x),
        CellOp::SkipConnect => factorized_reduce(net, prefix, x, c, affine),
        CellOp::SepConv(k) => Ok(Chain::new(net, prefix, x, elements)
            .relu("relu1")?
            .depthwise("depthwise1", Window::same(k, stride, 1))?
            .conv("pointwise1", c, point)?
            .norm("bn1")?
            .relu("relu2")?
            .depthwise("depthwise2", Window::same(k, 1, 1))?
            .conv("pointwise2", c, point)?
            .norm("bn2")?
            .end()),
        CellOp::DilConv(k) => Ok(Chain::new(net, prefix, x, elements)
            .relu("relu")?
            .depthwise("depthwise", Window::same(k, stride, 2))?
            .conv("pointwise", c, point)?
            .norm("bn")?
            .end()),
        CellOp::NorConv(k) => Ok(Chain::new(net, prefix, x, elements)
            .relu("relu")?
            .conv("conv", c, Window::same(k, stride, 1))?
            .norm("bn")?
            .end()),
        CellOp::Conv7x1_1x7 => {
            let row = Window { kernel: [1, 7], stride: [1, stride], pad: [0, 3], dilation: [1, 1] };
            let column = Window { kernel: [7, 1], stride: [stride, 1], pad: [3, 0], dilation: [1, 1] };
            let chain = Chain::new(net, prefix, x, elements).relu("relu")?;
            Ok(chain.conv("conv1", c, row)?.conv("conv2", c, column)?.norm("bn")?.end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_typos_are_answered() {
        for op in CellOp::ALL {
            assert_eq!(op.to_string().parse(), Ok(op));
        }
        assert!("sep_conv_3x4".parse::<CellOp>().unwrap_err().contains("sep_conv_3x3"));
        assert!("attention".parse::<CellOp>().unwrap_err().contains("known:"));
    }
}
