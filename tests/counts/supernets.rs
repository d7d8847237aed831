//! Supernets, whose parameters their code prints.

use robustnas::arch::cell::CellOp;
use robustnas::arch::cost::cost;
use robustnas::arch::families::cells::{MixEdge, MixKind, MixLayout, Placement, Skeleton, supernet};
use robustnas::units::Params;

use super::CIFAR;

fn skeleton(placement: &Placement, channels: usize, layers: usize) -> Skeleton {
    Skeleton {
        image: CIFAR.0,
        classes: CIFAR.1,
        normalize: None,
        stem: placement.stem_multiplier * channels,
        stem_kind: Default::default(),
        cells: placement.row(channels, layers).unwrap(),
    }
}

fn layout(kinds: &[&str], ops: &[CellOp]) -> MixLayout {
    let mut offset = 0;
    let mut kind = |name: &str| {
        let mut edges = Vec::new();
        for to in 2..6 {
            for from in 0..to {
                edges.push(MixEdge { from, to, ops: ops.to_vec(), offset });
                offset += ops.len();
            }
        }
        MixKind { kind: name.into(), nodes: 4, edges, concat: vec![2, 3, 4, 5] }
    };
    MixLayout { kinds: kinds.iter().map(|k| kind(k)).collect() }
}

const DARTS_OPS: [CellOp; 8] = [
    CellOp::None,
    CellOp::MaxPool(3),
    CellOp::AvgPool(3),
    CellOp::SkipConnect,
    CellOp::SepConv(3),
    CellOp::SepConv(5),
    CellOp::DilConv(3),
    CellOp::DilConv(5),
];

/// quark0/darts issue 16 logs `param size = 1.930618MB`.
#[test]
fn darts_supernet() {
    let net = supernet(&skeleton(&Placement::darts(), 16, 8), &layout(&["normal", "reduce"], &DARTS_OPS)).unwrap();
    assert_eq!(cost(&net).params, Params(1_930_618));
    assert_eq!(net.mix_len(), 2 * 14 * 8);
}

#[test]
fn dsara_supernet() {
    let kinds = layout(&["accurate", "reduce", "robust"], &DARTS_OPS[1..]);
    let net = supernet(&skeleton(&Placement::dsara(), 24, 8), &kinds).unwrap();
    let cost = cost(&net);
    assert_eq!(cost.params, Params(1_882_930));
    assert_eq!(cost.macs.0 / 100_000, 4612); // 461.2 M
    assert_eq!(net.mix_len(), 294);
}
