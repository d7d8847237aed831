//! RobNet (Guo et al. 2020): DARTS' sequence of cells, each edge of which has a separable convolution, a shortcut, both
//! or neither.
//!
//! A cell is 14 codes of two bits, its edges in order of target and source: `00` nothing, `01` a 3x3 separable
//! convolution, `10` a shortcut (a factorised reduction where the edge halves the size), `11` both, added. Large
//! networks share one cell, reductions included; the free one has another cell in every place. As in the released code,
//! batch-norms in cells learn no scale and shift.
//!
//! Forms: `robnet:large`, `robnet:large-v2`, `robnet:free`,
//! `robnet:codes=1111-111111-11011101-1001010111,channels=16,layers=8`.

use std::fmt;
use std::str::FromStr;

use super::cells::{Placement, Skeleton, StemKind, plain};
use crate::arch::cell::CellOp;
use crate::arch::genotype::{CellGenotype, Edge, Genotype};
use crate::arch::keys::{Fault, Keys, MODEL};
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::error::Result;

/// A RobNet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RobNet {
    /// One cell for all positions, or one for each.
    pub cells: Vec<Codes>,
    /// Channels `C` of the first stage.
    pub channels: usize,
    /// Cells.
    pub layers: usize,
    /// The stem.
    pub stem: StemKind,
}

/// What is on one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `00`.
    Nothing,
    /// `01`.
    Convolution,
    /// `10`.
    Shortcut,
    /// `11`.
    Both,
}

/// A cell: for every node from state 2 on, what comes from each earlier state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes([Vec<Code>; 4]);

/// Edges into each node.
const EDGES: [usize; 4] = [2, 3, 4, 5];

impl FromStr for Codes {
    type Err = String;

    /// Reads two bits an edge, `-` between nodes.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}`: expected two bits for each of 2, 3, 4 and 5 edges, such as 1111-111111-11011101-1001010111"
            )
        };
        let node = |(bits, edges): (&str, usize)| {
            let codes = bits.as_bytes().chunks(2).map(|pair| match pair {
                b"00" => Some(Code::Nothing),
                b"01" => Some(Code::Convolution),
                b"10" => Some(Code::Shortcut),
                b"11" => Some(Code::Both),
                _ => None,
            });
            codes.collect::<Option<Vec<_>>>().filter(|codes| codes.len() == edges)
        };
        let nodes: Option<Vec<_>> = text.split('-').zip(EDGES).map(node).collect();
        let nodes = nodes.filter(|_| text.split('-').count() == EDGES.len()).ok_or_else(wrong)?;
        nodes.try_into().map(Codes).map_err(|_| wrong())
    }
}

impl fmt::Display for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = |code: &Code| match code {
            Code::Nothing => "00",
            Code::Convolution => "01",
            Code::Shortcut => "10",
            Code::Both => "11",
        };
        let nodes: Vec<String> = self.0.iter().map(|node| node.iter().map(bits).collect()).collect();
        f.write_str(&nodes.join("-"))
    }
}

impl Codes {
    /// The cell as a genotype; a node that nothing leads to gets zeros.
    fn genotype(&self, kind: String) -> CellGenotype {
        let node = |codes: &Vec<Code>| {
            let edges = codes.iter().enumerate().flat_map(|(from, code)| {
                let ops: &[CellOp] = match code {
                    Code::Nothing => &[],
                    Code::Convolution => &[CellOp::SepConv(3)],
                    Code::Shortcut => &[CellOp::SkipConnect],
                    Code::Both => &[CellOp::SepConv(3), CellOp::SkipConnect],
                };
                ops.iter().map(move |op| Edge { op: *op, from })
            });
            let edges: Vec<Edge> = edges.collect();
            if edges.is_empty() { vec![Edge { op: CellOp::None, from: 0 }] } else { edges }
        };
        CellGenotype { kind, nodes: self.0.iter().map(node).collect(), concat: vec![2, 3, 4, 5] }
    }
}

/// The cell of the large networks.
const LARGE: &[&str] = &["1111-111111-01110110-1101010111"];

/// The cells of the free network, in order.
const FREE: &[&str] = &[
    "1110-111110-11010110-1111001101",
    "1100-011001-00101000-0111101100",
    "1111-110101-11010010-0010100011",
    "1011-100101-10100110-1100000110",
    "1111-010010-10100110-0100100111",
    "1110-111111-01101100-1001110111",
    "1111-111010-01111001-1010100110",
    "0111-111101-11111101-1101111000",
    "1111-111111-01011110-0100100111",
    "1011-010011-11101101-1111111100",
    "1110-110000-00110001-1000011011",
    "0111-011111-10101110-1101111000",
    "1111-101001-00101111-0110100001",
    "0111-111101-01110101-1111011010",
    "0111-111111-01000110-1011101011",
    "1111-001111-01000110-0011011111",
    "1111-011111-10111010-1010101111",
    "1011-011111-01110011-1100100001",
    "1110-111111-11111011-0011011111",
    "1111-010111-11010000-1000010111",
];

/// The published networks: name, cells, channels, layers.
const PUBLISHED: [(&str, &[&str], usize, usize); 3] =
    [("large", LARGE, 36, 20), ("large-v2", LARGE, 64, 33), ("free", FREE, 36, 20)];

impl RobNet {
    /// Reads `free` or `codes=..,channels=64,layers=33`, several cells with `+` between, and `stem=imagenet`.
    ///
    /// # Errors
    /// What does not parse, a name that is not known.
    pub fn parse(keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[&[MODEL, "codes", "channels", "layers", "stem"]])?;
        let stem = keys.value("stem")?.unwrap_or_default();
        let Some(name) = keys.text(MODEL) else {
            let text = keys.text("codes").ok_or("expected large, large-v2 or free, or codes, channels and layers")?;
            let cells = text.split('+').map(str::parse).collect::<Result<Vec<Codes>, String>>();
            let cells = cells.map_err(|why| Fault::of("codes", why))?;
            let (channels, layers) = (keys.needed("channels")?, keys.needed("layers")?);
            if ![1, layers].contains(&cells.len()) {
                let why = format!("{} cells for {layers} layers; expected one, or one for each", cells.len());
                return Err(Fault::of("codes", why));
            }
            return Ok(RobNet { cells, channels, layers, stem });
        };
        let known = PUBLISHED.iter().find(|(known, ..)| *known == name);
        let (_, cells, channels, layers) = known.ok_or_else(|| {
            let names = PUBLISHED.map(|(known, ..)| known).join(", ");
            Fault::of(MODEL, format!("no RobNet is called `{name}`; known: {names}"))
        })?;
        let cells = cells.iter().map(|codes| codes.parse()).collect::<Result<_, String>>()?;
        Ok(RobNet { cells, channels: *channels, layers: *layers, stem })
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// [`Error::Net`](crate::error::Error::Net) for fewer cells than three, or an image that is too small.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        let placement = Placement::darts();
        let mut cells = placement.row(self.channels, self.layers)?;
        let kind = |i: usize| if self.cells.len() == 1 { "shared".to_owned() } else { format!("own{i}") };
        for (i, placed) in cells.iter_mut().enumerate() {
            placed.kind = kind(i);
        }
        let genotype = Genotype { cells: (0..).zip(&self.cells).map(|(i, codes)| codes.genotype(kind(i))).collect() };
        let stem = placement.stem_channels(self.channels, self.stem);
        let net = plain(&Skeleton { image, classes, normalize: None, stem, stem_kind: self.stem, cells }, &genotype)?;
        net.validate()?;
        Ok(net)
    }
}

impl fmt::Display for RobNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RobNet { cells, channels, layers, stem } = self;
        let texts: Vec<String> = cells.iter().map(Codes::to_string).collect();
        match PUBLISHED.iter().find(|(_, known, c, l)| texts == *known && (c, l) == (channels, layers)) {
            Some((name, ..)) => f.write_str(name)?,
            None => write!(f, "codes={},channels={channels},layers={layers}", texts.join("+"))?,
        }
        if *stem != StemKind::default() {
            write!(f, ",stem={stem}")?;
        }
        Ok(())
    }
}
