//! Exact parameter and MAC counts of published networks: those made of cells here, the other families beside.

mod regnet;
mod residual;
mod robust_resnet;

use robustnas::arch::cell::CellOp;
use robustnas::arch::cost::{Cost, cost};
use robustnas::arch::families::cells::{MixEdge, MixKind, MixLayout, Placement, Skeleton, derived, supernet};
use robustnas::arch::genotype::Genotype;
use robustnas::arch::op::Shape;
use robustnas::units::Params;

fn skeleton(placement: &Placement, channels: usize, layers: usize) -> Skeleton {
    Skeleton {
        image: Shape::new(32, 32, 3),
        classes: 10,
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

/// A published genotype in a placement.
fn published(name: &str, placement: &Placement, channels: usize, layers: usize) -> Cost {
    let path = format!("{}/search_spaces/genotypes/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let genotype = Genotype::parse(&std::fs::read_to_string(&path).unwrap(), path.as_ref()).unwrap();
    cost(&derived(&skeleton(placement, channels, layers), &genotype).unwrap())
}

/// Genotype, C, L, parameters without auxiliary head, thousands of MACs: an independent counter on the published
/// genotypes; the sizes of DARTS_V2 (3.3 M), PC-DARTS (3.6 M), P-DARTS (3.4 M) are those of their papers.
const DARTS_TABLE: [(&str, usize, usize, u64, u64); 15] = [
    ("DARTS_V1", 36, 20, 3_169_414, 500_988),
    ("DARTS_V2", 36, 20, 3_349_342, 528_359),
    ("DARTS_V2", 16, 8, 246_106, 43_445),
    ("PC_DARTS_cifar", 36, 20, 3_634_678, 556_671),
    ("PC_DARTS_image", 36, 20, 3_721_510, 570_467),
    ("ADVRUSH", 36, 20, 4_158_046, 645_338),
    ("RACL", 36, 20, 3_571_174, 549_980),
    ("RNAS_H", 36, 20, 3_495_790, 552_192),
    ("LRNAS_c10", 36, 20, 2_179_702, 346_103),
    ("LRNAS_c100", 36, 20, 2_269_558, 369_991),
    ("REP_FGSM", 36, 20, 3_067_030, 476_547),
    ("RNTK", 36, 20, 3_413_278, 537_179),
    ("TRNAS_imagenet", 36, 20, 4_262_158, 651_669),
    // Printed in the Robust-ResNet comparison as 32.6 M, 4.97 G and 32.5 M, 4.93 G; the exact MACs are not printed.
    ("ADVRUSH", 96, 23, 32_575_018, 0),
    ("RACL", 104, 23, 32_509_682, 0),
];

#[test]
fn published_genotypes() {
    for (name, channels, layers, params, kmacs) in DARTS_TABLE {
        let cost = published(name, &Placement::darts(), channels, layers);
        assert_eq!(cost.params, Params(params), "{name}");
        if kmacs > 0 {
            assert_eq!((cost.macs.0 + 500) / 1000, kmacs, "{name}");
        }
    }
}

/// Sizes printed with fewer digits: (parameters, MACs) in thousands of the last printed digit.
#[test]
fn published_genotypes_rounded() {
    for (name, params_k, macs_m) in
        [("E2RNAS", 2_546, 416), ("RNAS_L", 3_171, 494), ("REP_PGD", 3_554, 545), ("TRNAS_c10", 3_919, 616)]
    {
        let cost = published(name, &Placement::darts(), 36, 20);
        assert_eq!((cost.params.0 + 500) / 1000, params_k, "{name}");
        assert_eq!((cost.macs.0 + 500_000) / 1_000_000, macs_m, "{name}");
    }
}

#[test]
fn arnas_and_what_its_widths_save() {
    for (channels, layers, params, kmacs) in
        [(64, 20, 4_520_394, 1_240_151), (36, 20, 1_533_718, 423_796), (16, 8, 141_306, 39_964)]
    {
        let cost = published("ARNAS", &Placement::dsara(), channels, layers);
        assert_eq!(cost.params, Params(params));
        assert_eq!((cost.macs.0 + 500) / 1000, kmacs);
    }
    let wide = Placement { widths: vec![1, 2, 4], ..Placement::dsara() };
    let cost = published("ARNAS", &wide, 64, 20);
    assert_eq!((cost.params, (cost.macs.0 + 50_000) / 100_000), (Params(9_639_754), 15_915));
}
