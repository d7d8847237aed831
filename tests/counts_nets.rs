//! Exact parameter and MAC counts of selective kernel networks, ConvNeXt and transformers, and of cell networks with what
//! their papers put around the cells.

use robustnas::arch::cost::{Cost, cost};
use robustnas::arch::net::Net;
use robustnas::arch::op::Shape;
use robustnas::arch::spec::NetSpec;
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
