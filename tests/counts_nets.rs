//! Exact parameter and MAC counts of selective kernel networks, ConvNeXt and transformers, and of cell networks with what
//! their papers put around the cells.

use std::path::Path;

use robustnas::arch::cost::{Cost, Rule, auxiliary_params, cost, cost_under};
use robustnas::arch::families::cells::auxiliary;
use robustnas::arch::net::Net;
use robustnas::arch::op::Shape;
use robustnas::arch::spec::NetSpec;
use robustnas::error::{Error, Result};
use robustnas::units::{Macs, Params};

fn net(form: &str, side: usize, classes: usize) -> Net {
    let spec = NetSpec::parse(form).unwrap();
    spec.load(Shape::new(side, side, 3), classes, &|_| unreachable!("no file")).unwrap().0
}

fn count(form: &str, side: usize, classes: usize) -> Cost {
    cost(&net(form, side, classes))
}

/// Form, image side, classes, parameters, multiply-accumulates (0 where none are known). torchvision's own table has
/// ConvNeXt-T, B and ViT-B/16; timm's the parameters of the others; the MACs are those of an independent counter that
/// gives torchvision's figures to the last printed digit.
const TABLE: [(&str, usize, usize, u64, u64); 18] = [
    ("sknet:26", 224, 1000, 16_746_408, 2_586_877_952),
    ("sknet:50", 224, 1000, 27_479_784, 4_462_710_784),
    ("sknet:29", 32, 100, 27_905_700, 0),
    ("convnext:femto", 224, 1000, 5_217_784, 0),
    ("convnext:pico", 224, 1000, 9_045_672, 0),
    ("convnext:nano", 224, 1000, 15_593_560, 0),
    ("convnext:tiny", 224, 1000, 28_589_128, 4_455_531_264),
    ("convnext:base", 224, 1000, 88_591_464, 15_354_729_472),
    ("convnext:xlarge", 224, 1000, 350_196_968, 60_921_030_656),
    ("vit:tiny-16", 224, 1000, 5_717_416, 1_253_683_200),
    ("vit:b-16", 224, 1000, 86_567_656, 17_563_828_224),
    ("vit:tiny-4", 32, 10, 5_362_762, 365_107_584),
    ("vit:small-4", 32, 10, 21_342_346, 1_420_309_248),
    ("vit:base-4", 32, 10, 85_152_010, 5_600_994_816),
    ("xcit:nano-12", 224, 1000, 3_053_224, 0),
    ("xcit:tiny-12", 224, 1000, 6_716_272, 0),
    ("xcit:small-12", 224, 1000, 26_253_304, 0),
    ("xcit:large-12", 224, 1000, 103_792_648, 0),
];

#[test]
fn published_networks() {
    for (form, side, classes, params, macs) in TABLE {
        let cost = count(form, side, classes);
        assert_eq!(cost.params, Params(params), "{form}");
        if macs > 0 {
            assert_eq!(cost.macs, Macs(macs), "{form}");
        }
    }
}

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

/// Published genotypes on CIFAR-10.
const AUXILIARY_TABLE: [Row; 15] = [
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
fn auxiliary_heads() {
    for (name, family, channels, layers, [without, with], [macs, profiled]) in AUXILIARY_TABLE {
        let spec = genotype(family, &format!("{name},channels={channels},layers={layers}"));
        let (net, genotype, skeleton) = spec.load(Shape::new(32, 32, 3), 10, &read).unwrap();
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
        let (net, genotype, skeleton) = spec.load(Shape::new(224, 224, 3), 1000, &read).unwrap();
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
    for (name, channels, macs) in [("ADVRUSH", 96, 496_928), ("RACL", 104, 492_847)] {
        let spec = genotype("darts", &format!("{name},channels={channels},layers=23"));
        let net = spec.load(Shape::new(32, 32, 3), 10, &read).unwrap().0;
        assert_eq!((cost_under(&net, Rule::TorchProfile).macs.0 + 5_000) / 10_000, macs, "{name}");
    }
    let large = count("robnet:large-v2", 32, 10);
    assert_eq!((large.params, (large.macs.0 + 50_000) / 100_000), (Params(33_326_666), 50_946));
}

/// RobNet-free is the 1560 M of the MSRobNet paper, which counts two operations a multiply-accumulate.
#[test]
fn robnets() {
    let large = count("robnet:large", 32, 10);
    assert_eq!((large.params, (large.macs.0 + 500) / 1000), (Params(6_842_710), 1_030_336));
    let free = cost_under(&net("robnet:free", 32, 10), Rule::TwiceMacs);
    assert_eq!((free.params, (free.macs.0 + 500_000) / 1_000_000), (Params(5_439_790), 1_560));
}

/// What is printed is read back, and published sizes print their names.
#[test]
fn forms_are_read_back() {
    for form in [
        "sknet:26",
        "sknet:50,kernels=3-5-7,act=silu",
        "sknet:29,groups=8,reduction=16,drop-path=0.1",
        "convnext:atto",
        "convnext:base,stem=conv,drop-path=0",
        "convnext:depths=2-2-6-2,dims=32-64-128-256,act=silu,layer-scale=none",
        "vit:base-16",
        "vit:tiny-4,drop-path=0.1",
        "vit:small-16,stem=conv,layer-scale=0.00001",
        "vit:depth=6,dim=96,heads=3,patch=4",
        "xcit:nano-12",
        "xcit:small-12,patch=4",
        "xcit:large-24,patch=8,tokens-norm=false",
        "xcit:depth=6,dim=64,heads=4,act=relu",
        "robnet:free",
        "robnet:large-v2",
        "robnet:codes=1111-111111-11011101-1001010111,channels=16,layers=8,stem=imagenet",
    ] {
        let spec = NetSpec::parse(form).unwrap();
        assert_eq!(spec.to_string(), form);
    }
    for (form, same) in [
        ("vit:b-16", "vit:base-16"),
        ("vit:depth=12,dim=192,heads=3,patch=16", "vit:tiny-16"),
        ("convnext:depths=3-3-9-3,dims=96-192-384-768", "convnext:tiny"),
        ("xcit:depth=12,dim=384,heads=8,patch=16", "xcit:small-12"),
    ] {
        assert_eq!(NetSpec::parse(form).unwrap().to_string(), same);
    }
}

#[test]
fn mistakes_are_answered() {
    for (form, words) in [
        ("sknet:34", "known: 26, 29, 50, 101"),
        ("sknet:50,kernels=3-4", "4 is even"),
        ("sknet:50,kernels=3-3", "given twice"),
        ("sknet:50,se=0.25", "unknown key `se`"),
        ("convnext:tony", "did you mean `tiny`"),
        ("convnext:depths=3-3", "`dims` is missing"),
        ("convnext:depths=3-3,dims=8-16-32", "2 depths, but 3 dims"),
        ("convnext:tiny,norm=batch", "unknown key `norm`"),
        ("vit:tiny", "SIZE-PATCH such as tiny-16"),
        ("vit:depth=3,dim=8,heads=2", "`patch` is missing"),
        ("vit:tiny-8,stem=conv", "patches of 16, not 8"),
        ("xcit:small-13", "SIZE-12 or SIZE-24"),
        ("xcit:small-12,patch=2", "expected 4, 8 or 16"),
        ("xcit:depth=2,dim=12,heads=2", "no multiple of 8"),
        ("robnet:small", "known: large, large-v2, free"),
        ("robnet:codes=11-1,channels=8,layers=8", "expected two bits"),
    ] {
        let why = NetSpec::parse(form).unwrap_err().to_string();
        assert!(why.contains(words), "{form}: {why}");
    }
    let lower = |form: &str, side| {
        NetSpec::parse(form).unwrap().load(Shape::new(side, side, 3), 10, &read).unwrap_err().to_string()
    };
    assert!(lower("vit:tiny-16", 40).contains("do not tile a 40x40x3 image"));
    assert!(lower("vit:depth=1,dim=8,heads=3,patch=4", 32).contains("3 heads do not divide 8 channels"));
}

/// The names and shapes that weights are looked up by.
#[test]
fn names_and_shapes() {
    let shape = |net: &Net, name: &str| net.node(net.find(name).unwrap_or_else(|| panic!("{name}"))).shape;
    let xcit = net("xcit:small-12,patch=4", 32, 10);
    for (name, expected) in [
        ("patch.bn2", Shape::new(32, 32, 96)),
        ("patch.bn4", Shape::new(8, 8, 384)),
        ("position.proj", Shape::new(8, 8, 384)),
        ("block11.attention.heads", Shape::new(8, 8, 384)),
        ("block0.local.conv2", Shape::new(8, 8, 384)),
        ("tokens.class", Shape::new(1, 65, 384)),
        ("class1.attention.q", Shape::new(1, 1, 384)),
        ("class1.attention.kv", Shape::new(1, 65, 768)),
        ("class1.mlp.add", Shape::new(1, 65, 384)),
        ("head.norm", Shape::new(1, 1, 384)),
    ] {
        assert_eq!(shape(&xcit, name), expected, "{name}");
    }
    let vit = net("vit:small-16,stem=conv", 224, 1000);
    assert_eq!(shape(&vit, "patch.proj"), Shape::new(14, 14, 384));
    assert_eq!(shape(&vit, "block3.attention.qkv"), Shape::new(1, 197, 1152));
    let convnext = net("convnext:base,stem=conv", 224, 1000);
    assert_eq!(shape(&convnext, "stem.act2"), Shape::new(56, 56, 96));
    assert_eq!(shape(&convnext, "stem.act3"), Shape::new(56, 56, 128));
    assert_eq!(shape(&convnext, "stage3.block2.fc1"), Shape::new(7, 7, 4096));
    assert!(convnext.find("stage0.block0.drop_path").is_none() && convnext.find("stage3.block2.drop_path").is_some());
    let sknet = net("sknet:29", 32, 100);
    assert_eq!(shape(&sknet, "stage2.block0.kernel3.conv"), Shape::new(8, 8, 2048));
    assert_eq!(shape(&sknet, "stage2.block0.select.fc1"), Shape::new(1, 1, 64));
    assert_eq!(shape(&sknet, "stage2.block0.select.softmax"), Shape::new(1, 1, 4096));
}
