//! Networks of published cells, with what their papers put around these.

use std::path::Path;

use robustnas::arch::cost::{Rule, auxiliary_params, cost, cost_under};
use robustnas::arch::families::cells::{Placement, Skeleton, auxiliary, derived};
use robustnas::arch::op::Shape;
use robustnas::arch::spec::NetSpec;
use robustnas::error::{Error, Result};
use robustnas::units::Params;

use super::{CIFAR, IMAGENET, net};

/// A published genotype as a form, `DARTS_V2,channels=36,layers=20`, in a family's placement.
fn genotype(family: &str, form: &str) -> NetSpec {
    let (name, rest) = form.split_once(',').unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/search_spaces/genotypes");
    NetSpec::parse(&format!("{family}:{folder}/{name}.txt,{rest}")).unwrap()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}

/// Genotype, placement, channels, layers; parameters without and with the auxiliary head; thousands of
/// multiply-accumulates, and of operations as torchprofile counts them.
type Row = (&'static str, &'static str, usize, usize, [u64; 2], [u64; 2]);

/// Published genotypes on CIFAR-10: an independent counter's figures; DARTS_V2's 3.3 M and PC-DARTS' 3.6 M are those of
/// their papers.
const TABLE: [Row; 15] = [
    ("DARTS_V1", "darts", 36, 20, [3_169_414, 3_645_840], [500_988, 505_992]),
    ("DARTS_V2", "darts", 36, 20, [3_349_342, 3_825_768], [528_359, 533_723]),
    ("DARTS_V2", "darts", 16, 8, [246_106, 681_572], [43_445, 44_338]),
    ("PC_DARTS_cifar", "darts", 36, 20, [3_634_678, 4_111_104], [556_671, 562_422]),
    ("PC_DARTS_image", "darts", 36, 20, [3_721_510, 4_197_936], [570_467, 576_163]),
    ("ADVRUSH", "darts", 36, 20, [4_158_046, 4_634_472], [645_338, 652_112]),
    ("RACL", "darts", 36, 20, [3_571_174, 4_047_600], [549_980, 555_316]),
    ("RNAS_H", "darts", 36, 20, [3_495_790, 3_972_216], [552_192, 557_114]),
    ("LRNAS_c10", "darts", 36, 20, [2_179_702, 2_656_128], [346_103, 349_643]),
    ("LRNAS_c100", "darts", 36, 20, [2_269_558, 2_745_984], [369_991, 373_116]),
    ("REP_FGSM", "darts", 36, 20, [3_067_030, 3_543_456], [476_547, 480_971]),
    ("RNTK", "darts", 36, 20, [3_413_278, 3_889_704], [537_179, 542_377]),
    ("TRNAS_imagenet", "darts", 36, 20, [4_262_158, 4_738_584], [651_669, 658_250]),
    ("ARNAS", "dsara", 64, 20, [4_520_394, 4_988_628], [1_240_151, 1_248_573]),
    ("ARNAS", "dsara", 36, 20, [1_533_718, 1_973_280], [423_796, 428_533]),
];

#[test]
fn published_genotypes() {
    for (name, family, channels, layers, [without, with], [macs, profiled]) in TABLE {
        let spec = genotype(family, &format!("{name},channels={channels},layers={layers}"));
        let (net, genotype, skeleton) = spec.load(CIFAR.0, CIFAR.1, &read).unwrap();
        let head = auxiliary(&skeleton.unwrap(), &genotype.unwrap()).unwrap().unwrap();
        let params = cost(&net).params.0;
        assert_eq!((params, params + auxiliary_params(&head).0), (without, with), "{name}");
        let thousands = |rule| (cost_under(&net, rule).macs.0 + 500) / 1000;
        assert_eq!([thousands(Rule::ConvLinear), thousands(Rule::TorchProfile)], [macs, profiled], "{name}");
        // Nothing of the head is in the network itself, and what they share has the same names and shapes.
        assert_eq!(auxiliary_params(&net), Params(0));
        for (_, node) in head.nodes().filter(|(_, node)| !node.name.starts_with("auxiliary.")) {
            assert_eq!(net.node(net.find(&node.name).unwrap()).shape, node.shape, "{name}: {}", node.name);
        }
        assert_eq!(
            (head.classes(), head.node(head.find("auxiliary.conv2").unwrap()).shape),
            (10, Shape::new(1, 1, 768))
        );
    }
}

/// The DARTS paper's 4.7 M on ImageNet.
#[test]
fn the_imagenet_stem() {
    for (name, params, macs) in [("DARTS_V2", 4_718_752, 5_299), ("PC_DARTS_image", 0, 5_816)] {
        let spec = genotype("darts", &format!("{name},channels=48,layers=14,stem=imagenet"));
        let (net, genotype, skeleton) = spec.load(IMAGENET.0, IMAGENET.1, &read).unwrap();
        let cost = cost(&net);
        assert!(params == 0 || cost.params == Params(params), "{name}: {}", cost.params.0);
        assert_eq!((cost.macs.0 + 50_000) / 100_000, macs, "{name}");
        assert_eq!(net.node(net.find("stem0.bn2").unwrap()).shape, Shape::new(56, 56, 48));
        assert_eq!(net.node(net.find("stem1.bn").unwrap()).shape, Shape::new(28, 28, 48));
        assert!(
            net.find("cell0.normal.pre0.conv2").is_some(),
            "the first cell halves what the second convolution gives"
        );
        let head = auxiliary(&skeleton.unwrap(), &genotype.unwrap()).unwrap().unwrap();
        assert_eq!(head.node(head.find("auxiliary.pool").unwrap()).shape, Shape::new(2, 2, 768));
    }
    let (_, genotype, skeleton) =
        genotype("darts", "DARTS_V2,channels=4,layers=8").load(Shape::new(64, 64, 3), 10, &read).unwrap();
    assert!(auxiliary(&skeleton.unwrap(), &genotype.unwrap()).unwrap().is_none(), "no head is defined for 16x16");
}

/// The comparison at 5 G of the RobustResNet paper, by torchprofile, prints 32.6 M and 4.97 G, 32.5 M and 4.93 G, 33.3 M and 5.10 G.
#[test]
fn networks_of_a_published_comparison() {
    for (name, channels, params, macs) in [("ADVRUSH", 96, 32_575_018, 496_928), ("RACL", 104, 32_509_682, 492_847)] {
        let spec = genotype("darts", &format!("{name},channels={channels},layers=23"));
        let net = spec.load(CIFAR.0, CIFAR.1, &read).unwrap().0;
        assert_eq!(cost(&net).params, Params(params), "{name}");
        assert_eq!((cost_under(&net, Rule::TorchProfile).macs.0 + 5_000) / 10_000, macs, "{name}");
    }
    let large = cost(&net("robnet:large-v2", CIFAR));
    assert_eq!((large.params, (large.macs.0 + 50_000) / 100_000), (Params(33_326_666), 50_946));
}

/// RobNet-free is the 1560 M of the MSRobNet paper, which counts two operations a multiply-accumulate.
#[test]
fn robnets() {
    let large = cost(&net("robnet:large", CIFAR));
    assert_eq!((large.params, (large.macs.0 + 500) / 1000), (Params(6_842_710), 1_030_336));
    let free = cost_under(&net("robnet:free", CIFAR), Rule::TwiceMacs);
    assert_eq!((free.params, (free.macs.0 + 500_000) / 1_000_000), (Params(5_439_790), 1_560));
}

/// Sizes printed with fewer digits: thousands of parameters, millions of multiply-accumulates.
#[test]
fn published_genotypes_rounded() {
    for (name, thousands, millions) in
        [("E2RNAS", 2_546, 416), ("RNAS_L", 3_171, 494), ("REP_PGD", 3_554, 545), ("TRNAS_c10", 3_919, 616)]
    {
        let spec = genotype("darts", &format!("{name},channels=36,layers=20"));
        let cost = cost(&spec.load(CIFAR.0, CIFAR.1, &read).unwrap().0);
        assert_eq!((cost.params.0 + 500) / 1000, thousands, "{name}");
        assert_eq!((cost.macs.0 + 500_000) / 1_000_000, millions, "{name}");
    }
}

/// ARNAS with 16 channels and 8 cells, and with DARTS' widths `C : 2C : 4C`, which its own `C : 2C : 2C` save.
#[test]
fn arnas_and_what_its_widths_save() {
    let (small, cells, _) = genotype("dsara", "ARNAS,channels=16,layers=8").load(CIFAR.0, CIFAR.1, &read).unwrap();
    let small = cost(&small);
    assert_eq!((small.params, (small.macs.0 + 500) / 1000), (Params(141_306), 39_964));
    let (_, _, skeleton) = genotype("dsara", "ARNAS,channels=64,layers=20").load(CIFAR.0, CIFAR.1, &read).unwrap();
    let placement = Placement { widths: vec![1, 2, 4], ..Placement::dsara() };
    let wide = Skeleton { cells: placement.row(64, 20).unwrap(), ..skeleton.unwrap() };
    let wide = cost(&derived(&wide, &cells.unwrap()).unwrap());
    assert_eq!((wide.params, (wide.macs.0 + 50_000) / 100_000), (Params(9_639_754), 15_915));
}
