//! Residual networks: wide, pre-activated, with the activation behind the sum; and the counting rules, whose published
//! integers are those of residual networks.
//!
//! Figures marked "counter" are an independent counter's, equal to the published ones at the digits these have.

use robustnas::arch::cost::{Rule, activations, cost, cost_under, per_node_under};

use super::{CIFAR, IMAGENET, check, check_millions, check_params, net};

/// Counter; WRN-28-10 is the 36.5 M and 5.2 G of its paper.
#[test]
fn wide_networks() {
    check(
        CIFAR,
        &[
            ("wrn:depth=16,width=4", 2_748_890, 392_612_352),
            ("wrn:depth=16,width=8", 10_961_370, 1_548_145_664),
            ("wrn:depth=22,width=10", 26_797_914, 3_827_751_168),
            ("wrn:depth=28,width=4", 5_849_050, 845_597_184),
            ("wrn:28-10", 36_479_194, 5_243_328_768),
            ("wrn:depth=28,width=12", 52_517_850, 7_543_905_792),
            ("wrn:depth=34,width=10", 46_160_474, 6_658_906_368),
            ("wrn:depth=34,width=12", 66_457_818, 9_582_337_536),
            ("wrn:depth=34,width=20", 184_531_674, 26_581_856_768),
            ("wrn:depth=40,width=1", 563_930, 83_280_512),
            ("wrn:depth=40,width=2", 2_243_546, 327_599_360),
            ("wrn:depth=40,width=4", 8_949_210, 1_298_582_016),
            ("wrn:depth=70,width=16", 266_796_506, 38_764_210_176),
            ("wrn:depth=106,width=8", 103_912_410, 15_137_690_624),
            // Spectral pooling has no weights, and the convolution behind it has the strided one's cost.
            ("wrn:28-10,down=flc", 36_479_194, 5_243_328_768),
        ],
    );
}

/// A class costs 64 width + 1 parameters.
#[test]
fn classes_cost_a_row_of_the_head() {
    for (width, form) in [(1, "wrn:40-1"), (10, "wrn:28-10")] {
        let params = |classes| cost(&net(form, (CIFAR.0, classes))).params.0;
        assert_eq!(params(100) - params(10), 90 * (64 * width + 1));
    }
}

/// Blocks of other convolutions at width 2, and equally many convolutions however they are put into blocks.
#[test]
fn block_types() {
    check_params(
        CIFAR,
        &[
            ("wrn:blocks=6,width=2,block=1-3-1", 1_429_082),
            ("wrn:blocks=6,width=2,block=3-1", 1_211_354),
            ("wrn:blocks=6,width=2,block=1-3", 1_297_370),
            ("wrn:blocks=6,width=2,block=3-1-1", 1_343_066),
            ("wrn:blocks=4,width=2,block=3-3", 1_467_610),
            ("wrn:blocks=3,width=2,block=3-1-3", 1_145_498),
            ("wrn:depth=40,width=2,block=3", 2_243_546),
            ("wrn:depth=40,width=2,block=3-3-3", 2_243_546),
            ("wrn:depth=40,width=2,block=3-3-3-3", 2_243_546),
        ],
    );
}

/// RobustWRN (68.1 M and 19.1 G for WRN-34-R), RaWRN-70-16 (267 M), and RobustScaling on basic blocks: WRN-A4 (147 M) and
/// the 40 G network by depth (185 M, 38.8 G). Counter for the rest.
#[test]
fn robust_wide_networks() {
    check(
        CIFAR,
        &[
            ("wrn:34-r", 68_116_698, 19_132_765_184),
            ("wrn:channels=16-320-640-512,depths=5-5-5", 68_116_698, 19_132_765_184),
            ("wrn:ra-70-16", 267_240_802, 60_467_537_664),
            ("wrn:a1", 18_707_930, 5_076_862_848),
            ("wrn:a2", 38_323_482, 10_836_167_168),
            ("wrn:a3", 75_302_490, 20_215_680_128),
            ("wrn:a4", 147_291_738, 40_381_107_968),
            ("wrn:depths=14-13-6,widths=16-16-16", 185_387_482, 38_764_210_176),
        ],
    );
    check_millions(CIFAR, &[("wrn:28-r", 54_176_218, 15_056), ("wrn:70-r", 151_759_578, 43_594)]);
    check_params(
        CIFAR,
        &[
            ("wrn:depths=5-5-2,widths=10-10-10", 24_034_394),
            ("wrn:depths=4-4-4,widths=11-13-6", 24_521_434),
            ("wrn:depths=6-6-3,widths=12-12-12", 48_538_074),
            ("wrn:depths=7-7-7,widths=16-18-8", 81_664_218),
            ("wrn:depths=11-11-11,widths=18-21-9", 169_657_434),
        ],
    );
}

/// torchvision's integers and its GMACs to all printed digits.
#[test]
fn torchvision() {
    check(
        IMAGENET,
        &[
            ("resnet:18", 11_689_512, 1_814_073_344),
            ("resnet:34", 21_797_672, 3_663_761_408),
            ("resnet:50", 25_557_032, 4_089_184_256),
            ("resnet:101", 44_549_160, 7_801_405_440),
            ("resnet:152", 60_192_808, 11_513_626_624),
            ("wide-resnet:50-2", 68_883_240, 11_398_021_120),
            ("resnet:18,down=flc", 11_689_512, 1_814_073_344),
        ],
    );
    check_millions(IMAGENET, &[("resnext:101-32x8d", 88_791_336, 16_414), ("wide-resnet:101-2", 126_886_696, 22_753)]);
}

/// Counter.
#[test]
fn residual_networks_on_small_images() {
    check(
        CIFAR,
        &[
            ("resnet:18", 11_173_962, 555_422_720),
            ("resnet:50", 23_520_842, 1_297_829_888),
            ("preact-resnet:18", 11_172_170, 555_422_720),
            ("preact-resnet:18,down=flc,shortcut=raw", 11_172_170, 555_422_720),
        ],
    );
}

/// SE-ResNet-50 has a sixteenth of the channels hidden, with biases: per block `2 c h + c + h` more than ResNet-50.
#[test]
fn gates_cost_two_small_layers() {
    let gate = |c: u64, h: u64| 2 * c * h + c + h;
    let gates = 3 * gate(256, 16) + 4 * gate(512, 32) + 6 * gate(1024, 64) + 3 * gate(2048, 128);
    assert_eq!(cost(&net("resnet:50,se=0.0625", IMAGENET)).params.0, 25_557_032 + gates);
}

/// pycls' own table of model complexity: parameters, flops, activations.
#[test]
fn pycls() {
    for (form, sight, params, flops, acts) in [
        ("resnet:50", IMAGENET, 25_557_032, 4_089_185_256, 11_315_688),
        ("resnet:101", IMAGENET, 44_549_160, 7_801_406_440, 16_433_640),
        ("resnet:152", IMAGENET, 60_192_808, 11_513_627_624, 22_755_816),
        ("resnext:50-32x4d", IMAGENET, 25_028_904, 4_230_480_872, 14_602_216),
        ("resnext:101-32x4d", IMAGENET, 44_177_704, 7_969_997_800, 21_426_152),
        ("resnext:152-32x4d", IMAGENET, 59_951_400, 11_709_514_728, 29_855_720),
        ("resnet:56", CIFAR, 855_770, 125_747_850, 544_778),
        ("resnet:110", CIFAR, 1_730_714, 253_149_834, 1_060_874),
    ] {
        let net = net(form, sight);
        let cost = cost_under(&net, Rule::Pycls);
        assert_eq!((cost.params.0, cost.macs.0, activations(&net)), (params, flops, acts), "{form}");
    }
}

/// What torchprofile says, the "FLOPs" of the RobustResNet papers.
#[test]
fn torchprofile() {
    for (form, operations) in [
        ("wrn:28-10", 5_245_639_552),
        ("wrn:34-12", 9_585_795_328),
        ("wrn:46-14", 18_591_049_344),
        ("wrn:70-16", 38_774_320_128),
    ] {
        assert_eq!(cost_under(&net(form, CIFAR), Rule::TorchProfile).macs.0, operations, "{form}");
    }
}

#[test]
fn rules_add_up_and_have_names() {
    let net = net("resnet:18,se=0.25,act=silu", CIFAR);
    for rule in Rule::ALL {
        assert_eq!([rule.word(), rule.name()].map(|text| text.parse()), [Ok(rule), Ok(rule)]);
        let (whole, layers) = (cost_under(&net, rule), per_node_under(&net, rule));
        assert_eq!(whole.rule, rule.name());
        assert_eq!(whole.macs.0, layers.iter().map(|l| l.macs.0).sum::<u64>());
        assert_eq!(activations(&net), layers.iter().map(|l| l.activations).sum::<u64>());
    }
    assert_eq!(cost_under(&net, Rule::TwiceMacs).macs.0, 2 * cost(&net).macs.0);
    assert!("torchprofle".parse::<Rule>().unwrap_err().contains("did you mean `torchprofile`"));
}
