//! ConvNeXt and transformers.
//!
//! torchvision's own table has ConvNeXt-T, B and ViT-B/16; timm's the parameters of the others. Multiply-accumulates are an
//! independent counter's, which gives torchvision's figures to the last printed digit.

use robustnas::arch::cost::{Rule, per_node_under};
use robustnas::arch::op::{Op, Shape};

use super::{CIFAR, IMAGENET, check, check_millions, check_params, net};

#[test]
fn convnexts() {
    check(
        IMAGENET,
        &[
            ("convnext:tiny", 28_589_128, 4_455_531_264),
            ("convnext:base", 88_591_464, 15_354_729_472),
            ("convnext:xlarge", 350_196_968, 60_921_030_656),
        ],
    );
    check_millions(
        IMAGENET,
        &[
            ("convnext:femto", 5_217_784, 780),
            ("convnext:pico", 9_045_672, 1_367),
            ("convnext:nano", 15_593_560, 2_446),
        ],
    );
}

#[test]
fn vision_transformers() {
    check(IMAGENET, &[("vit:tiny-16", 5_717_416, 1_253_683_200), ("vit:b-16", 86_567_656, 17_563_828_224)]);
    check_millions((Shape::new(384, 384, 3), 1000), &[("vit:b-16", 86_859_496, 55_484)]);
    check(
        CIFAR,
        &[
            ("vit:tiny-4", 5_362_762, 365_107_584),
            ("vit:small-4", 21_342_346, 1_420_309_248),
            ("vit:base-4", 85_152_010, 5_600_994_816),
        ],
    );
}

/// What counters say that see layers with weights and no products of queries, keys and values.
#[test]
fn transformers_without_attention_products() {
    for (form, macs) in [("vit:tiny-16", 1_074_851_328), ("vit:b-16", 16_848_500_736)] {
        let net = net(form, IMAGENET);
        let counts = per_node_under(&net, Rule::ConvLinear);
        let weighted = net.nodes().zip(counts).filter(|((_, node), _)| !matches!(node.op, Op::Attention { .. }));
        assert_eq!(weighted.map(|(_, count)| count.macs.0).sum::<u64>(), macs, "{form}");
    }
}

#[test]
fn cross_covariance_transformers() {
    check_params(
        IMAGENET,
        &[
            ("xcit:nano-12", 3_053_224),
            ("xcit:tiny-12", 6_716_272),
            ("xcit:small-12", 26_253_304),
            ("xcit:large-12", 103_792_648),
        ],
    );
}
