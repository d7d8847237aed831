//! Which of a network's weights are kernels: those of convolutions and linear layers, and no biases, normalisations,
//! tokens, positions or scales.

use std::ops::Range;

use crate::arch::op::Op;
use crate::engine::Network;

/// The place of every kernel in the weights, ascending.
pub fn kernels(network: &Network) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (id, node) in network.net().nodes() {
        if matches!(node.op, Op::Conv2d { .. } | Op::ConvNorm { .. } | Op::Linear { .. }) {
            // Its weight comes first, its bias behind.
            found.extend(network.layout().of(id).first().cloned());
        }
    }
    found.sort_by_key(|range| range.start);
    found
}
