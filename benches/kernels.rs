//! How fast every kernel family is on one core, in FLOP (a multiply-accumulate is two) or scalars a second, and whole
//! convolutions beside stock candle's in the same run.
//!
//! Sizes are those of the DSARA supernet at 16 channels (32x32x16, 16x16x32, 8x8x32) and of residual networks (32x32x64 to
//! 4x4x512); a call is one image's. Times are of this machine and this moment; the ratios to candle carry over.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor, Var};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group};
use robustnas::arch::net::Net;
use robustnas::arch::op::{Act, Op, Shape, Window};
use robustnas::engine::cpu::kernels::attention::Planes;
use robustnas::engine::cpu::kernels::conv::{Conv, Direction, Target};
use robustnas::engine::cpu::kernels::group_norm::Affine;
use robustnas::engine::cpu::kernels::incoming::Incoming;
use robustnas::engine::cpu::kernels::load::Source;
use robustnas::engine::cpu::kernels::pointwise::{Term, sum};
use robustnas::engine::cpu::kernels::prefetch::Prefetch;
use robustnas::engine::cpu::kernels::product::{Product, Tap};
use robustnas::engine::cpu::kernels::separable::{Room, Wanted, WeightGradients, Weights};
use robustnas::engine::cpu::kernels::{norm, pointwise};
use robustnas::engine::{
    Activation, Attention, Convolution, CrossCovariance, Depthwise, FlcPool, GroupNorm, Load, Over, Pool, Separable,
};
use robustnas::engine::{Isa, Network, NormMode, Wrt};
use robustnas::loss::cross_entropy;
use robustnas::seed::Seed;

const SUPERNET: [Shape; 3] = [Shape::new(32, 32, 16), Shape::new(16, 16, 32), Shape::new(8, 8, 32)];
const RESIDUAL: [Shape; 4] =
    [Shape::new(32, 32, 64), Shape::new(16, 16, 128), Shape::new(8, 8, 256), Shape::new(4, 4, 512)];

/// Numbers around zero.
fn numbers(len: usize) -> Vec<f32> {
    let mut stream = Seed::root(1).stream();
    (0..len).map(|_| stream.uniform() - 0.5).collect()
}

/// Times a call that does so many FLOP, or touches so many scalars.
fn time(group: &mut BenchmarkGroup<'_, WallTime>, name: String, work: usize, mut call: impl FnMut()) {
    group.throughput(Throughput::Elements(work as u64));
    group.bench_function(name, |bencher| bencher.iter(&mut call));
}

/// The depthwise windows of the space's operations at a size.
fn depthwises(source: Shape) -> impl Iterator<Item = (&'static str, Depthwise)> {
    let windows = [
        ("3x3", Window::same(3, 1, 1)),
        ("5x5", Window::same(5, 1, 1)),
        ("dilated 3x3", Window::same(3, 1, 2)),
        ("3x3 stride 2", Window::same(3, 2, 1)),
    ];
    windows.into_iter().map(move |(name, window)| {
        let [h, w] = window.output(source.h, source.w).unwrap();
        let load = Load { relu: true, ..Load::default() };
        (name, Depthwise { source, output: Shape::new(h, w, source.c), window, load })
    })
}

fn depthwise(criterion: &mut Criterion) {
    let (group, isa) = (&mut criterion.benchmark_group("depthwise"), Isa::widest());
    for shape in SUPERNET {
        for (name, conv) in depthwises(shape) {
            let flop = 2 * conv.window.taps() * conv.output.len();
            let (x, dy) = (numbers(shape.len()), numbers(conv.output.len()));
            let weight = numbers(conv.window.taps() * shape.c);
            let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), weight.clone());
            let mut scratch = vec![0.0; conv.scratch()];
            let source = Source::plain(&x[..]);
            time(group, format!("{name} {shape} forward"), flop, || {
                conv.forward(isa, source, &weight, &mut y, &mut scratch);
            });
            time(group, format!("{name} {shape} backward"), 2 * flop, || {
                conv.backward_weight(isa, source, &dy, &mut dw, &mut scratch);
                conv.backward_input(isa, Some(source), &weight, &dy, (&mut dx, false), &mut scratch);
            });
        }
    }
}

fn separable(criterion: &mut Criterion) {
    let (group, isa) = (&mut criterion.benchmark_group("separable"), Isa::widest());
    for shape in SUPERNET {
        for (name, first) in depthwises(shape).take(2) {
            let pair = Separable { depthwise: first, out: shape.c };
            let flop = 2 * (first.window.taps() + shape.c) * shape.len();
            let (x, dy) = (numbers(shape.len()), numbers(shape.len()));
            let (depthwise, pointwise) = (numbers(first.window.taps() * shape.c), numbers(shape.c * shape.c));
            let (mut y, mut dx) = (dy.clone(), x.clone());
            let (mut dd, mut dp) = (depthwise.clone(), pointwise.clone());
            let mut scratch = vec![0.0; pair.scratch()];
            let weights = Weights { depthwise: &depthwise, pointwise: &pointwise };
            let source = Source::plain(&x[..]);
            time(group, format!("{name} {shape} forward"), flop, || {
                pair.forward(
                    isa,
                    source,
                    weights,
                    &mut y,
                    Room { scratch: &mut scratch, prefetch: &Prefetch::NOTHING },
                );
            });
            time(group, format!("{name} {shape} backward"), 2 * flop, || {
                let grads = WeightGradients { depthwise: &mut dd, pointwise: &mut dp };
                let wanted = Wanted { weights: Some(grads), input: Some((&mut dx, false)) };
                pair.backward(
                    isa,
                    Some(source),
                    weights,
                    Incoming::Plain(&dy),
                    wanted,
                    Room { scratch: &mut scratch, prefetch: &Prefetch::NOTHING },
                );
            });
        }
    }
}

fn pool(criterion: &mut Criterion) {
    let (group, isa) = (&mut criterion.benchmark_group("pool"), Isa::widest());
    for source in SUPERNET {
        let pool = Pool { source, output: source, window: Window::same(3, 1, 1) };
        let (x, dy) = (numbers(source.len()), numbers(source.len()));
        let (mut y, mut dx) = (dy.clone(), x.clone());
        let len = source.len();
        let none = &Prefetch::NOTHING;
        time(group, format!("max {source} forward"), len, || pool.max_forward(isa, &x, &mut y, none));
        time(group, format!("max {source} backward"), len, || pool.max_backward(isa, &x, &dy, (&mut dx, false), none));
        time(group, format!("mean {source} forward"), len, || pool.avg_forward(isa, &x, false, &mut y, none));
        time(group, format!("mean {source} backward"), len, || {
            pool.avg_backward(isa, &dy, false, (&mut dx, false), none);
        });
    }
}

fn norms(criterion: &mut Criterion) {
    let (group, isa) = (&mut criterion.benchmark_group("norm"), Isa::widest());
    for shape in SUPERNET {
        let (len, c) = (shape.len(), shape.c);
        let (x, dy, scale, shift) = (numbers(len), numbers(len), numbers(c), numbers(c));
        let (mut y, mut pair) = (x.clone(), vec![0.0; 2 * c]);
        time(group, format!("{shape} moments"), len, || norm::moments(isa, &x, c, &mut pair));
        time(group, format!("{shape} apply"), len, || norm::apply(isa, &x, &scale, &shift, &mut y));
        time(group, format!("{shape} gradient sums"), len, || {
            norm::backward_sums(isa, &x, &dy, &scale, &shift, &mut pair);
        });
        time(group, format!("{shape} gradient line"), len, || {
            let line = norm::Line { gain: &scale[..], slope: &shift[..], level: &shift[..] };
            norm::backward(isa, line, Some(&x), &dy, &mut y, false);
        });
    }
}

/// A node of the supernet adds up seven operations for each of its edges.
fn sums(criterion: &mut Criterion) {
    let (group, isa) = (&mut criterion.benchmark_group("sum"), Isa::widest());
    for shape in SUPERNET {
        let (scale, shift) = (numbers(shape.c), numbers(shape.c));
        let planes: Vec<Vec<f32>> = (0..14).map(|_| numbers(shape.len())).collect();
        let mut y = planes[0].clone();
        for (name, affine) in [("plain", None), ("normalised", Some((&scale[..], &shift[..])))] {
            let terms: Vec<Term<'_, f32>> =
                planes.iter().map(|values| Term { weight: 0.1, source: Source { values, affine } }).collect();
            time(group, format!("14 {name} planes {shape} forward"), 14 * shape.len(), || {
                sum(isa, &terms, shape.c, &mut y);
            });
        }
        time(group, format!("{shape} backward"), shape.len(), || {
            pointwise::axpy(isa, 0.1, &planes[1], &mut y, true);
        });
    }
}

fn conv(criterion: &mut Criterion) {
    let (group, isa) = (&mut criterion.benchmark_group("conv"), Isa::widest());
    for source in RESIDUAL {
        let window = Window::same(3, 1, 1);
        let load = Load { relu: true, ..Load::default() };
        let conv = Conv::direct(Convolution { source, output: source, window, groups: 1, load }).fastest();
        let flop = 2 * window.taps() * source.len() * source.c;
        let (x, dy) = (numbers(source.len()), numbers(source.len()));
        let weight = numbers(window.taps() * source.c * source.c);
        let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), weight.clone());
        let mut scratch = vec![0.0; conv.scratch()];
        let [forward, backward] = [Direction::Forward, Direction::Backward].map(|direction| {
            let mut all = vec![0.0; conv.panels(direction).scalars()];
            for panel in conv.panels(direction).each() {
                conv.prepare(isa, direction, &panel, &weight, &mut all[panel.range.clone()]);
            }
            all
        });
        let from = Source::plain(&x[..]);
        time(group, format!("3x3 {source} forward"), flop, || {
            conv.forward(isa, from, &forward, None, &mut y, &mut scratch);
        });
        time(group, format!("3x3 {source} image gradient"), flop, || {
            let target = Target { dx: &mut dx, accumulate: false, x: from };
            conv.backward_input(isa, &backward, &dy, target, &mut scratch);
        });
        time(group, format!("3x3 {source} weight gradient"), flop, || {
            conv.backward_weight(isa, from, &dy, &mut dw, None, &mut scratch);
        });
    }
}

/// Those of 1x1 convolutions: pixels by channels, forward, and channels by pixels, the weights' gradient.
/// Point-wise functions, with the batch-norm in front of them applied on the way in.
fn activation(criterion: &mut Criterion) {
    let (group, isa) = (&mut criterion.benchmark_group("activation"), Isa::widest());
    let shape = RESIDUAL[0];
    let (x, dy, scale, shift) = (numbers(shape.len()), numbers(shape.len()), numbers(shape.c), numbers(shape.c));
    let mut y = x.clone();
    let source = Source { values: &x[..], affine: Some((&scale[..], &shift[..])) };
    for act in Act::ALL {
        let f = Activation::Act(act);
        time(group, format!("{} {shape} forward", act.name()), shape.len(), || f.forward(isa, source, &mut y));
        time(group, format!("{} {shape} backward", act.name()), shape.len(), || {
            f.backward(isa, source, &dy, (&mut y, false));
        });
    }
}

/// Normalisation within an image: of pixels as in ConvNeXt and ViT, of groups.
fn group_norm(criterion: &mut Criterion) {
    let (group, isa) = (&mut criterion.benchmark_group("group norm"), Isa::widest());
    for (name, shape, over) in [
        ("pixels", Shape::new(14, 14, 384), Over::Pixel),
        ("8 groups", Shape::new(32, 32, 64), Over::Groups(8)),
        ("instance", Shape::new(32, 32, 64), Over::Groups(64)),
    ] {
        let norm = GroupNorm { c: shape.c, over, epsilon: 1e-5 };
        let (x, dy, weight, bias) = (numbers(shape.len()), numbers(shape.len()), numbers(shape.c), numbers(shape.c));
        let (mut y, mut scratch) = (x.clone(), vec![0.0; norm.scratch()]);
        let affine = Affine { weight: &weight[..], bias: &bias };
        time(group, format!("{name} {shape} forward"), shape.len(), || {
            norm.forward(isa, &x, affine, &mut y, &mut scratch);
        });
        time(group, format!("{name} {shape} backward"), shape.len(), || {
            norm.backward(isa, &x, &weight, &dy, (&mut y, false), &mut scratch);
        });
    }
}

/// ViT-S at 224 pixels, XCiT-S, and ViT-T on CIFAR.
fn attention(criterion: &mut Criterion) {
    let (group, isa) = (&mut criterion.benchmark_group("attention"), Isa::widest());
    for (n, d, heads) in [(197, 384, 6), (65, 192, 3)] {
        let attention = Attention { queries: n, keys: n, d, heads, apart: false };
        let (x, dy) = (numbers(n * 3 * d), numbers(n * d));
        let (mut y, mut dx, mut scratch) = (dy.clone(), x.clone(), vec![0.0; attention.scratch()]);
        let planes = Planes { queries: &x[..], keys: &x };
        let flop = 4 * n * n * d;
        time(group, format!("{n} pixels of {d} forward"), flop, || {
            attention.forward(isa, planes, &mut y, &mut scratch);
        });
        time(group, format!("{n} pixels of {d} backward"), 2 * flop, || {
            attention.backward(isa, planes, true, &dy, (&mut dx, false), &mut scratch);
        });
    }
    let (n, d, heads) = (196, 384, 8);
    let attention = CrossCovariance { pixels: n, d, heads };
    let (x, dy, temperature) = (numbers(n * 3 * d), numbers(n * d), vec![1.0; heads]);
    let (mut y, mut dx, mut scratch) = (dy.clone(), x.clone(), vec![0.0; attention.scratch()]);
    let flop = 4 * n * d * d / heads;
    time(group, format!("channels, {n} pixels of {d} forward"), flop, || {
        attention.forward(isa, &x, &temperature, &mut y, &mut scratch);
    });
    time(group, format!("channels, {n} pixels of {d} backward"), 2 * flop, || {
        attention.backward(isa, &x, &temperature, &dy, (&mut dx, false), &mut scratch);
    });
}

/// FLC pooling, in scalars of what goes in.
fn flc_pool(criterion: &mut Criterion) {
    let (group, isa) = (&mut criterion.benchmark_group("flc pool"), Isa::widest());
    for source in &RESIDUAL[..3] {
        let output = Shape::new(source.h / 2, source.w / 2, source.c);
        let pool = FlcPool::new(*source, output, false);
        let (x, dy) = (numbers(source.len()), numbers(output.len()));
        let (mut y, mut dx, mut scratch) = (dy.clone(), x.clone(), vec![0.0; pool.scratch()]);
        time(group, format!("{source} forward"), source.len(), || pool.forward(isa, &x, &mut y, &mut scratch));
        time(group, format!("{source} backward"), source.len(), || {
            pool.backward(isa, &dy, (&mut dx, false), &mut scratch);
        });
    }
}

fn product(criterion: &mut Criterion) {
    let (group, isa) = (&mut criterion.benchmark_group("product"), Isa::widest());
    for Shape { h, w, c } in SUPERNET.into_iter().chain(RESIDUAL.into_iter().take(2)) {
        let (pixels, once) = (h * w, [Tap { x: 0, w: 0 }]);
        let (x, dy, weight) = (numbers(pixels * c), numbers(pixels * c), numbers(c * c));
        let (mut y, mut dw) = (dy.clone(), weight.clone());
        let flop = 2 * pixels * c * c;
        time(group, format!("[{pixels}, {c}] x [{c}, {c}]"), flop, || {
            Product::dense(pixels, c, c).run(isa, &once, &x, &weight, &mut y, false);
        });
        time(group, format!("[{c}, {pixels}] x [{pixels}, {c}]"), flop, || {
            Product::transposed(c, pixels, c).run(isa, &once, &x, &dy, &mut dw, true);
        });
    }
}

fn short() -> Criterion {
    let of = Duration::from_millis;
    Criterion::default()
        .sample_size(10)
        .warm_up_time(of(100))
        .measurement_time(of(250))
        .nresamples(2000)
        .configure_from_args()
}

criterion_group!(name = families; config = short(); targets = depthwise, separable, pool, norms, sums, conv, activation, group_norm, attention, flc_pool, product);

/// One convolution of 32 images with its image and weight gradients as a network has it, on all cores, ours and candle's in
/// turn: the ratio of the medians.
fn against_candle(name: &str, channels: usize, groups: usize) {
    const BATCH: usize = 32;
    const ROUNDS: usize = 7;
    let mut net = Net::new();
    let image = net.add("image", Op::Input { shape: Shape::new(32, 32, channels) }, &[]).unwrap();
    let conv = Op::Conv2d { out: channels, window: Window::same(3, 1, 1), groups, bias: false };
    let conv = net.add("conv", conv, &[image]).unwrap();
    net.add("pool", Op::GlobalAvgPool, &[conv]).unwrap();
    let mut network = Network::new(net, Seed::root(0), &Device::Cpu).unwrap();
    let x = Tensor::from_vec(numbers(BATCH * 1024 * channels), (BATCH, 32, 32, channels), &Device::Cpu).unwrap();
    let labels = vec![0u32; BATCH];
    let wrt = Wrt { input: true, params: true, mix: false };
    let mut ours = || {
        network.gradients(&x, &[], NormMode::Eval, wrt, &|l| cross_entropy(l, &labels)).unwrap();
    };
    let planar = Var::from_tensor(&x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap()).unwrap();
    let weight = Var::rand(-0.1f32, 0.1, (channels, channels / groups, 3, 3), &Device::Cpu).unwrap();
    let mut theirs = || {
        planar.conv2d(&weight, 1, 1, 1, groups).unwrap().mean_all().unwrap().backward().unwrap();
    };
    let seconds = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    ours();
    theirs();
    let (mut a, mut b): (Vec<f64>, Vec<f64>) = (0..ROUNDS).map(|_| (seconds(&mut ours), seconds(&mut theirs))).unzip();
    let [a, b] = [&mut a, &mut b].map(|times| {
        times.sort_by(f64::total_cmp);
        1e3 * times[ROUNDS / 2]
    });
    println!("{name:28} ours {a:8.2} ms  candle {b:8.2} ms  ratio {:6.1}", b / a);
}

fn main() {
    families();
    Criterion::default().configure_from_args().final_summary();
    // Arguments narrow the families: `cargo bench -- conv`.
    if !std::env::args().skip(1).any(|argument| !argument.starts_with('-')) {
        against_candle("dense 3x3, 64 channels", 64, 1);
        against_candle("depthwise 3x3, 32 channels", 32, 32);
    }
}
