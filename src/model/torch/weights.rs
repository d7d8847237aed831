//! A network's numbers in PyTorch's layouts. Names and all layouts but those of convolutions and matrices are the engine's.

use crate::arch::net::Net;
use crate::arch::op::Op;
use crate::engine::ParamLayout;
use crate::error::{Error, Result};

/// How a tensor of the engine lies in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// `[rows, columns, in, out]` as `[out, in, rows, columns]`.
    Convolution,
    /// `[in, out]` as `[out, in]`.
    Matrix,
    /// As it is.
    Same,
}

impl Turn {
    /// That of a network's tensor, by the name that it has in the engine (`node.weight`).
    pub fn of(net: &Net, tensor: &str) -> Turn {
        let Some((node, "weight")) = tensor.rsplit_once('.') else { return Turn::Same };
        match net.find(node).map(|id| &net.node(id).op) {
            Some(Op::Conv2d { .. } | Op::ConvNorm { .. }) => Turn::Convolution,
            Some(Op::Linear { .. }) => Turn::Matrix,
            _ => Turn::Same,
        }
    }

    /// For every axis in PyTorch, the engine's.
    fn axes(self, rank: usize) -> Vec<usize> {
        match self {
            Turn::Convolution => vec![3, 2, 0, 1],
            Turn::Matrix => vec![1, 0],
            Turn::Same => (0..rank).collect(),
        }
    }

    /// The shape in PyTorch of what has this shape in the engine.
    pub fn shape(self, own: &[usize]) -> Vec<usize> {
        self.axes(own.len()).into_iter().map(|axis| own[axis]).collect()
    }

    /// Numbers of the engine, in PyTorch's order.
    pub fn theirs(self, numbers: &[f32], own: &[usize]) -> Vec<f32> {
        self.places(own).into_iter().map(|place| numbers[place]).collect()
    }

    /// Numbers of PyTorch, in the engine's order; `own` is the shape there.
    pub fn own(self, numbers: &[f32], own: &[usize]) -> Vec<f32> {
        let mut turned = vec![0.0; numbers.len()];
        for (number, place) in numbers.iter().zip(self.places(own)) {
            turned[place] = *number;
        }
        turned
    }

    /// For every number in PyTorch's order, its place in the engine's.
    fn places(self, own: &[usize]) -> Vec<usize> {
        let step = |axis: usize| own[axis + 1..].iter().product::<usize>();
        self.axes(own.len()).into_iter().fold(vec![0], |places, axis| {
            places.iter().flat_map(|place| (0..own[axis]).map(move |i| place + i * step(axis))).collect()
        })
    }
}

/// A tensor of a `state_dict`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name, the engine's.
    pub name: String,
    /// Its shape in PyTorch.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// All numbers of a network for `load_state_dict`, in the engine's order; `state` is the engine's vector.
///
/// # Errors
/// [`Error::Net`] for a vector that is not as long as the network's.
pub fn tensors(net: &Net, state: &[f32]) -> Result<Vec<Tensor>> {
    let layout = ParamLayout::new(net);
    if layout.len() != state.len() {
        return Err(Error::Net(format!("the network has {} numbers, got {}", layout.len(), state.len())));
    }
    let of = |tensor: &crate::engine::ParamTensor| {
        let turn = Turn::of(net, &tensor.name);
        let values = turn.theirs(&state[tensor.range.clone()], &tensor.shape);
        Tensor { name: tensor.name.clone(), shape: turn.shape(&tensor.shape), values }
    };
    Ok(layout.tensors().iter().map(of).collect())
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
            let numbers: Vec<f32> = (0..own.iter().product()).map(|i| i as f32).collect();
            assert_eq!(turn.shape(&own), theirs);
            assert_eq!(turn.own(&turn.theirs(&numbers, &own), &own), numbers);
        }
        assert_eq!(Turn::Matrix.theirs(&[0., 1., 2., 3., 4., 5.], &[3, 2]), [0., 2., 4., 1., 3., 5.]);
        // Out 1 of in 0, row 0, column 1: `[0, 1, 0, 1]` of `[1, 2, 1, 2]`.
        assert_eq!(Turn::Convolution.theirs(&[0., 1., 2., 3.], &[1, 2, 1, 2]), [0., 2., 1., 3.]);
    }
}
