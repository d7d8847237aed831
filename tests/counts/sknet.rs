//! Selective kernel networks, and those they are compared with on CIFAR-100.

use robustnas::arch::cost::cost;

use super::{CIFAR100, IMAGENET, check, check_millions, check_params, net};

/// SKNet-50 is the 27.5 M and 4.47 G of its paper and timm's skresnext50_32x4d; SKNet-26 follows the same rule.
#[test]
fn selective_kernel_networks() {
    check(IMAGENET, &[("sknet:26", 16_746_408, 2_586_877_952), ("sknet:50", 27_479_784, 4_462_710_784)]);
    check_millions(CIFAR100, &[("sknet:29", 27_905_700, 4_181)]);
}

/// timm's skresnet18, 34 and 50, whose branches share channels out; of 34 timm prints 22.28 M.
#[test]
fn shared_channels() {
    check_params(IMAGENET, &[("sknet:18", 11_958_056), ("sknet:50,width=64,groups=1,least=8,split=true", 25_803_160)]);
    assert_eq!((cost(&net("sknet:34", IMAGENET)).params.0 + 5_000) / 10_000, 2_228);
}

/// ResNeXt-29, published as 34.4 M and 5.4 G at 8x64d.
#[test]
fn grouped_bottlenecks_on_small_images() {
    check_params(CIFAR100, &[("resnext:29-16x32d", 25_229_220), ("resnext:29-8x64d", 34_518_948)]);
}

/// SENet-29 is published as 35.0 M.
#[test]
fn gated_bottlenecks_on_small_images() {
    assert_eq!((cost(&net("resnext:29-8x64d,se=0.0625", CIFAR100)).params.0 + 50_000) / 100_000, 350);
}
