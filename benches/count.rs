//! How fast networks are built and counted: one at a time, and many candidates of a family beside each other.
//!
//! A budget is met by counting; a million candidates take the reported time a candidate times a million.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;
use robustnas::arch::cost::cost;
use robustnas::arch::op::Shape;
use robustnas::arch::spec::NetSpec;

const IMAGE: Shape = Shape::new(32, 32, 3);
const CANDIDATES: usize = 10_000;

fn count(spec: &NetSpec) -> u64 {
    let (net, ..) = spec.load(IMAGE, 10, &|path| unreachable!("{}", path.display())).expect("a network");
    cost(&net).macs.0
}

fn one(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("count one");
    for form in [
        "wrn:28-10",
        "wrn:70-16",
        "wrn:ra-70-16",
        "resnet:152",
        "robust-resnet:a1",
        "robust-resnet:a4",
        "xcit:large-24",
    ] {
        let spec = NetSpec::parse(form).expect("a form");
        group.bench_function(form, |bencher| bencher.iter(|| count(&spec)));
    }
}

/// Wide networks of every depth from 1 to 10 and every width from 1 to 10 a stage, over and over, on all cores.
fn many(criterion: &mut Criterion) {
    let digits = |i: usize| [i, i / 10, i / 100].map(|n| (n % 10 + 1).to_string()).join("-");
    let form = |i: usize| format!("wrn:depths={},widths={}", digits(i), digits(i / 7));
    let candidates: Vec<NetSpec> = (0..CANDIDATES).map(|i| NetSpec::parse(&form(i)).expect("a form")).collect();
    let mut group = criterion.benchmark_group("count many");
    group.sample_size(10).throughput(Throughput::Elements(CANDIDATES as u64));
    group.bench_function("wide networks", |bencher| {
        bencher.iter(|| candidates.par_iter().map(count).reduce(|| 0, u64::max));
    });
}

criterion_group!(counting, one, many);
criterion_main!(counting);
