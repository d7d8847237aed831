//! Exact parameter and MAC counts of published networks.
//!
//! What stands here is confirmed: printed by a project's own code, or an independent counter's and equal to the published
//! figure at the digits this has. Figures that no count confirms are left out.

#[path = "../fixtures/cells.rs"]
mod cell_layouts;
mod cells;
mod forms;
mod regnet;
mod residual;
mod robust_resnet;
mod sknet;
mod supernets;
mod tokens;

use robustnas::arch::cost::cost;
use robustnas::arch::net::Net;
use robustnas::arch::op::Shape;
use robustnas::arch::spec::NetSpec;

/// An image and classes.
type Sight = (Shape, usize);

const CIFAR: Sight = (Shape::new(32, 32, 3), 10);
const CIFAR100: Sight = (CIFAR.0, 100);
const IMAGENET: Sight = (Shape::new(224, 224, 3), 1000);

fn net(form: &str, (image, classes): Sight) -> Net {
    NetSpec::parse(form).unwrap().load(image, classes, &|_| unreachable!("no file")).unwrap().0
}

/// Forms with their parameters and multiply-accumulates.
fn check(sight: Sight, table: &[(&str, u64, u64)]) {
    for &(form, params, macs) in table {
        let cost = cost(&net(form, sight));
        assert_eq!((cost.params.0, cost.macs.0), (params, macs), "{form}");
    }
}

/// Forms with their parameters and what is published of their multiply-accumulates, in millions.
fn check_millions(sight: Sight, table: &[(&str, u64, u64)]) {
    for &(form, params, millions) in table {
        let cost = cost(&net(form, sight));
        assert_eq!((cost.params.0, (cost.macs.0 + 500_000) / 1_000_000), (params, millions), "{form}");
    }
}

/// Forms with their parameters.
fn check_params(sight: Sight, table: &[(&str, u64)]) {
    for &(form, params) in table {
        assert_eq!(cost(&net(form, sight)).params.0, params, "{form}");
    }
}
