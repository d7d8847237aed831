//! Supernets, whose parameters their code prints.

use robustnas::arch::cost::cost;
use robustnas::arch::families::cells::{MixLayout, Placement, Skeleton, StemKind, supernet};
use robustnas::arch::op::{Op, Shape};
use robustnas::units::Params;

use super::cell_layouts::{DARTS_OPS, DSARA_KINDS, layout};
use super::{CIFAR, IMAGENET};

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

/// quark0/darts issue 16 logs `param size = 1.930618MB`.
#[test]
fn darts_supernet() {
    let net = supernet(&skeleton(&Placement::darts(), 16, 8), &layout(&["normal", "reduce"], 4, &DARTS_OPS)).unwrap();
    assert_eq!(cost(&net).params, Params(1_930_618));
    assert_eq!(net.mix_len(), 2 * 14 * 8);
}

#[test]
fn dsara_supernet() {
    let kinds = layout(&DSARA_KINDS, 4, &DARTS_OPS[1..]);
    let net = supernet(&skeleton(&Placement::dsara(), 24, 8), &kinds).unwrap();
    let cost = cost(&net);
    assert_eq!(cost.params, Params(1_882_930));
    assert_eq!(cost.macs.0 / 100_000, 4612); // 461.2 M
    assert_eq!(net.mix_len(), 294);
}

/// PC-DARTS on ImageNet: one channel in two goes through the operations (yuhuixu1993/PC-DARTS issue 15: `0.956512MB`).
#[test]
fn pc_darts_supernet() {
    let skeleton = Skeleton {
        image: IMAGENET.0,
        classes: IMAGENET.1,
        stem_kind: StemKind::ImageNet,
        ..skeleton(&Placement::darts(), 16, 8)
    };
    let kinds = MixLayout { partial: 2, ..layout(&["normal", "reduce"], 4, &DARTS_OPS) };
    let net = supernet(&skeleton, &kinds).unwrap();
    assert_eq!(cost(&net).params, Params(956_512));
    assert_eq!(net.mix_len(), 2 * 14 * 8);
    // A half is mixed and a half passes, and of each half a half goes through the next operations.
    let inputs = |name: &str| net.inputs(net.find(name).unwrap());
    let slices = inputs("cell0.normal.node2").into_iter().map(|id| {
        let node = net.node(id);
        (node.op.clone(), net.node(net.inputs(id)[0]).name.rsplit('.').next().unwrap().to_owned())
    });
    let part = |from, of: &str| (Op::Slice { from, len: 4 }, of.to_owned());
    assert_eq!(slices.collect::<Vec<_>>(), [part(0, "mixed"), part(0, "passed"), part(4, "mixed"), part(4, "passed")]);
    // A reduction halves what passes by a maximum, and the sum is over all edges into a node.
    let pooled = net.node(net.find("cell2.reduce.state0.pool").unwrap());
    assert_eq!((pooled.shape, inputs("cell2.reduce.node3.passed").len()), (Shape::new(14, 14, 16), 3));
    let odd = supernet(&Skeleton { cells: Placement::darts().row(6, 8).unwrap(), ..skeleton }, &kinds);
    assert!(odd.unwrap_err().to_string().contains("4 equal blocks, which 6 channels do not divide into"));
}
