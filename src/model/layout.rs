//! Layouts of weights in files: the engine's and PyTorch's. Names are the same in both, and so are the layouts of all
//! tensors but convolutions and matrices.

use serde::Deserialize;

use crate::arch::net::Net;
use crate::arch::op::Op;

/// A layout of weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Convolutions `[out, in / groups, rows, columns]`, matrices `[out, in]`.
    #[default]
    Pytorch,
    /// Convolutions `[rows, columns, in / groups, out]`, matrices `[in, out]`.
    Own,
}

impl Layout {
    /// The permutation from the engine's layout of a tensor, by its name there (`node.weight`), to this layout.
    pub fn turn(self, net: &Net, tensor: &str) -> Turn {
        match self {
            Layout::Own => Turn::Same,
            Layout::Pytorch => Turn::of(net, tensor),
        }
    }
}

/// The permutation from the engine's layout to PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// `[rows, columns, in, out]` as `[out, in, rows, columns]`.
    Convolution,
    /// `[in, out]` as `[out, in]`.
    Matrix,
    /// Unchanged.
    Same,
}

impl Turn {
    /// That of a network's tensor, by its name in the engine.
    pub fn of(net: &Net, tensor: &str) -> Turn {
        let Some((node, "weight")) = tensor.rsplit_once('.') else { return Turn::Same };
        match net.find(node).map(|id| &net.node(id).op) {
            Some(Op::Conv2d { .. } | Op::ConvNorm { .. }) => Turn::Convolution,
            Some(Op::Linear { .. }) => Turn::Matrix,
            _ => Turn::Same,
        }
    }

    /// For every axis in PyTorch, the engine's; `None` for an unchanged tensor.
    pub fn axes(self) -> Option<&'static [usize]> {
        match self {
            Turn::Convolution => Some(&[3, 2, 0, 1]),
            Turn::Matrix => Some(&[1, 0]),
            Turn::Same => None,
        }
    }

    /// The shape in PyTorch of a tensor of this shape in the engine.
    pub fn shape(self, own: &[usize]) -> Vec<usize> {
        self.axes().map_or_else(|| own.to_vec(), |axes| axes.iter().map(|axis| own[*axis]).collect())
    }

    /// Values of the engine, in PyTorch's order.
    pub fn theirs(self, values: &[f32], own: &[usize]) -> Vec<f32> {
        let Some(axes) = self.axes() else { return values.to_vec() };
        places(axes, own).into_iter().map(|place| values[place]).collect()
    }

    /// Values of PyTorch, in the engine's order; `own` is the shape there.
    pub fn own(self, values: &[f32], own: &[usize]) -> Vec<f32> {
        let Some(axes) = self.axes() else { return values.to_vec() };
        let mut turned = vec![0.0; values.len()];
        for (value, place) in values.iter().zip(places(axes, own)) {
            turned[place] = *value;
        }
        turned
    }
}

/// For every entry in the order of the axes, its index in a tensor of a shape.
fn places(axes: &[usize], own: &[usize]) -> Vec<usize> {
    let step = |axis: usize| own[axis + 1..].iter().product::<usize>();
    axes.iter().fold(vec![0], |places, axis| {
        places.iter().flat_map(|place| (0..own[*axis]).map(move |i| place + i * step(*axis))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_turn_and_turn_back() {
        for (turn, own, theirs) in [
            (Turn::Convolution, vec![2, 3, 4, 5], vec![5, 4, 2, 3]),
            (Turn::Matrix, vec![3, 2], vec![2, 3]),
            (Turn::Same, vec![2, 3, 2], vec![2, 3, 2]),
        ] {
            let values: Vec<f32> = (0..own.iter().product()).map(|i| i as f32).collect();
            assert_eq!(turn.shape(&own), theirs);
            assert_eq!(turn.own(&turn.theirs(&values, &own), &own), values);
        }
        assert_eq!(Turn::Matrix.theirs(&[0., 1., 2., 3., 4., 5.], &[3, 2]), [0., 2., 4., 1., 3., 5.]);
        // Out 1 of in 0, row 0, column 1: `[0, 1, 0, 1]` of `[1, 2, 1, 2]`.
        assert_eq!(Turn::Convolution.theirs(&[0., 1., 2., 3.], &[1, 2, 1, 2]), [0., 2., 1., 3.]);
    }
}
