//! Every kernel family, and whole networks, on every set of vector instructions that this machine has against the portable
//! path: forward and all gradients, in both precisions.
//!
//! The paths add up in different orders and nothing else, so they agree to a few units in the last place of the largest
//! number of a result. Sizes are tiny: without fused multiply-add instructions every one of them is a function call.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use robustnas::arch::cell::{CellOp, lower};
use robustnas::arch::families::preact::PreAct;
use robustnas::arch::net::Net;
use robustnas::arch::op::{Op, Shape, Window};
use robustnas::engine::cpu::kernels::conv::{Conv, Direction, Method, Target};
use robustnas::engine::cpu::kernels::incoming::Incoming;
use robustnas::engine::cpu::kernels::load::Source;
use robustnas::engine::cpu::kernels::pointwise::Term;
use robustnas::engine::cpu::kernels::prefetch::Prefetch;
use robustnas::engine::cpu::kernels::product::{Product, Tap};
use robustnas::engine::cpu::kernels::separable::{Room, Wanted, WeightGradients, Weights};
use robustnas::engine::cpu::kernels::{norm, pointwise};
use robustnas::engine::{
    Convolution, Cpu, Depthwise, Fusion, Isa, Load, Logits, LossGradient, Network, NormMode, Pool, Real, Separable, Wrt,
};
use robustnas::seed::Seed;

#[path = "fixtures/elements.rs"]
mod elements;

/// Whole registers of every width, parts of them, and every remainder: 48 is three registers of AVX-512, 20 one and a
/// quarter, 36 two and a quarter, 5 and 3 none.
const CHANNELS: [usize; 7] = [1, 3, 5, 16, 20, 36, 48];

/// What was computed, part by part.
type Found<T> = Vec<(&'static str, Vec<T>)>;

/// What the order of a few hundred additions may cost, as a share of a result's largest number: about 25 units in the last
/// place.
fn rounding<T: Real>() -> f64 {
    if T::DTYPE == DType::F32 { 3e-6 } else { 6e-15 }
}

/// Compares what a computation finds on every set of instructions with what it finds on the portable one.
fn agree<T: Real>(what: &str, tolerance: f64, compute: impl Fn(Isa) -> Found<T>) {
    let all = Isa::available();
    let portable = compute(all[0]);
    for isa in &all[1..] {
        let found = compute(*isa);
        assert_eq!(found.len(), portable.len());
        for ((name, a), (_, b)) in found.iter().zip(&portable) {
            let largest = b.iter().fold(0f64, |m, v| m.max(v.to_f64().abs()));
            assert_eq!(a.len(), b.len(), "{what} on {isa}: {name}");
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                let (a, b) = (a.to_f64(), b.to_f64());
                let close = (a - b).abs() <= tolerance * largest.max(1.0);
                assert!(close, "{what} on {isa}: {name}[{i}] is {a}, {b} on the portable path");
            }
        }
    }
}

/// Calls a computation that is generic over its scalars in both precisions.
macro_rules! agree_in_both {
    ($what:expr, $compute:ident($($arg:expr),*)) => {{
        agree(&format!("{} f32", $what), rounding::<f32>(), |isa| $compute::<f32>(isa, $($arg),*));
        agree(&format!("{} f64", $what), rounding::<f64>(), |isa| $compute::<f64>(isa, $($arg),*));
    }};
}

/// Numbers around zero, the same for a name and a length.
fn numbers<T: Real>(name: &str, len: usize) -> Vec<T> {
    let mut stream = Seed::root(11).child(name).stream();
    (0..len).map(|_| T::from_f64(f64::from(stream.normal()))).collect()
}

fn zeros<T: Real>(len: usize) -> Vec<T> {
    vec![T::zero(); len]
}

/// Scale and shift of a batch-norm that is applied on the way in.
struct Affine<T> {
    scale: Vec<T>,
    shift: Vec<T>,
}

impl<T: Real> Affine<T> {
    fn new(c: usize) -> Self {
        Affine { scale: numbers("scale", c), shift: numbers("shift", c) }
    }

    fn source<'a>(&'a self, values: &'a [T], applied: bool) -> Source<'a, T> {
        Source { values, affine: applied.then_some((&self.scale[..], &self.shift[..])) }
    }
}

/// The output of a window on what a load leaves of a source.
fn output(source: Shape, window: Window, load: Load, c: usize) -> Option<Shape> {
    let [h, w] = window.output(source.h.checked_sub(load.crop[0])?, source.w.checked_sub(load.crop[1])?)?;
    (h > 0 && w > 0).then_some(Shape::new(h, w, c))
}

fn depthwise<T: Real>(isa: Isa, conv: Depthwise, affine: bool) -> Found<T> {
    let norm = Affine::new(conv.source.c);
    let (x, dy) = (numbers("x", conv.source.len()), numbers("dy", conv.output.len()));
    let weight: Vec<T> = numbers("weight", conv.window.taps() * conv.source.c);
    let source = norm.source(&x, affine);
    let mut scratch = zeros(conv.scratch());
    let (mut y, mut dw) = (zeros(conv.output.len()), numbers("dw", weight.len()));
    conv.forward(isa, source, &weight, &mut y, &mut scratch);
    conv.backward_weight(isa, source, &dy, &mut dw, &mut scratch);
    let [mut first, mut later] = [zeros(x.len()), numbers("dx", x.len())];
    conv.backward_input(isa, Some(source), &weight, &dy, (&mut first, false), &mut scratch);
    conv.backward_input(isa, Some(source), &weight, &dy, (&mut later, true), &mut scratch);
    vec![("y", y), ("dw", dw), ("dx", first), ("dx added", later)]
}

fn separable<T: Real>(isa: Isa, pair: Separable, affine: bool) -> Found<T> {
    let Depthwise { source: from, output: mid, window, .. } = pair.depthwise;
    let norm = Affine::new(from.c);
    let (x, dy) = (numbers("x", from.len()), numbers("dy", mid.area() * pair.out));
    let depthwise: Vec<T> = numbers("depthwise", window.taps() * from.c);
    let pointwise: Vec<T> = numbers("pointwise", from.c * pair.out);
    let weights = Weights { depthwise: &depthwise, pointwise: &pointwise };
    let source = norm.source(&x, affine);
    let mut scratch = zeros(pair.scratch());
    let mut y = zeros(dy.len());
    pair.forward(isa, source, weights, &mut y, Room { scratch: &mut scratch, prefetch: &Prefetch::NOTHING });
    let mut found = vec![("y", y)];
    // The gradient as it stands, a sum's addend's, and through a batch-norm with and without statistics of the batch.
    let (out, value): (_, Vec<T>) = (Affine::<T>::new(pair.out), numbers("value", dy.len()));
    let line = norm::Line { gain: &out.scale[..], slope: &out.shift[..], level: &out.scale[..] };
    let incoming = [
        Incoming::Plain(&dy),
        Incoming::Scaled { factor: T::from_f64(0.7), dy: &dy },
        Incoming::Line { line, x: Some(&value), dy: &dy },
        Incoming::Line { line, x: None, dy: &dy },
    ];
    for dy in incoming {
        let (mut dd, mut dp) = (zeros(depthwise.len()), zeros(pointwise.len()));
        let [mut both, mut alone] = [zeros(x.len()), numbers("dx", x.len())];
        let grads = WeightGradients { depthwise: &mut dd, pointwise: &mut dp };
        let wanted = Wanted { weights: Some(grads), input: Some((&mut both, false)) };
        pair.backward(
            isa,
            Some(source),
            weights,
            dy,
            wanted,
            Room { scratch: &mut scratch, prefetch: &Prefetch::NOTHING },
        );
        let wanted = Wanted { weights: None, input: Some((&mut alone, true)) };
        pair.backward(
            isa,
            Some(source),
            weights,
            dy,
            wanted,
            Room { scratch: &mut scratch, prefetch: &Prefetch::NOTHING },
        );
        found.extend([("depthwise dw", dd), ("pointwise dw", dp), ("dx", both), ("dx alone, added", alone)]);
    }
    found
}

/// A convolution's weights as a pass in a direction reads them.
fn prepared<T: Real>(isa: Isa, conv: &Conv, direction: Direction, weight: &[T]) -> Vec<T> {
    let panels = conv.panels(direction);
    let mut all = zeros(panels.scalars());
    for panel in panels.each() {
        conv.prepare(isa, direction, &panel, weight, &mut all[panel.range.clone()]);
    }
    all
}

/// On two images, as lanes take several.
fn conv<T: Real>(isa: Isa, conv: Conv, affine: bool) -> Found<T> {
    const N: usize = 2;
    let norm = Affine::new(conv.shape.source.c);
    let (x, dy) = (numbers("x", N * conv.shape.source.len()), numbers("dy", N * conv.shape.output.len()));
    let weight: Vec<T> =
        numbers("weight", conv.shape.window.taps() * conv.shape.source.c / conv.shape.groups * conv.shape.output.c);
    let bias: Vec<T> = numbers("bias", conv.shape.output.c);
    let source = norm.source(&x, affine);
    let mut scratch = zeros(conv.scratch());
    let [forward, backward] = [Direction::Forward, Direction::Backward].map(|d| prepared(isa, &conv, d, &weight));
    let (mut y, mut plain) = (zeros(dy.len()), zeros(dy.len()));
    conv.forward(isa, source, &forward, Some(&bias), &mut y, &mut scratch);
    conv.forward(isa, source, &forward, None, &mut plain, &mut scratch);
    let (mut dw, mut db) = (zeros(weight.len()), zeros(bias.len()));
    conv.backward_weight(isa, source, &dy, &mut dw, Some(&mut db), &mut scratch);
    let mut found = vec![("y", y), ("y without bias", plain), ("dw", dw), ("db", db)];
    for (name, accumulate) in [("dx", false), ("dx added", true)] {
        let mut dx = numbers("dx", x.len());
        let target = Target { dx: &mut dx, accumulate, x: source };
        conv.backward_input(isa, &backward, &dy, target, &mut scratch);
        found.push((name, dx));
    }
    found
}

fn pools<T: Real>(isa: Isa, pool: Pool) -> Found<T> {
    // Few different values, so that windows have ties.
    let x: Vec<T> = numbers::<T>("x", pool.source.len()).iter().map(|v| T::from_f64(v.to_f64().round())).collect();
    let dy: Vec<T> = numbers("dy", pool.output.len());
    let [mut max, mut mean, mut inside] = [zeros(dy.len()), zeros(dy.len()), zeros(dy.len())];
    pool.max_forward(isa, &x, &mut max, &Prefetch::NOTHING);
    pool.avg_forward(isa, &x, true, &mut mean, &Prefetch::NOTHING);
    pool.avg_forward(isa, &x, false, &mut inside, &Prefetch::NOTHING);
    let mut found = vec![("max", max), ("mean", mean), ("mean of what is inside", inside)];
    for accumulate in [false, true] {
        let [mut max, mut mean, mut inside] = [(); 3].map(|()| numbers("dx", x.len()));
        pool.max_backward(isa, &x, &dy, (&mut max, accumulate), &Prefetch::NOTHING);
        pool.avg_backward(isa, &dy, true, (&mut mean, accumulate), &Prefetch::NOTHING);
        pool.avg_backward(isa, &dy, false, (&mut inside, accumulate), &Prefetch::NOTHING);
        found.extend([("max dx", max), ("mean dx", mean), ("mean of what is inside dx", inside)]);
    }
    found
}

fn norms<T: Real>(isa: Isa, shape: Shape) -> Found<T> {
    let c = shape.c;
    let Affine { scale, shift } = Affine::<T>::new(c);
    let (x, dy) = (numbers("x", shape.len()), numbers("dy", shape.len()));
    let (mut moments, mut sums) = (zeros(2 * c), zeros(2 * c));
    norm::moments(isa, &x, c, &mut moments);
    norm::backward_sums(isa, &x, &dy, &scale, &shift, &mut sums);
    let (mut y, mut over) = (zeros(x.len()), x.clone());
    norm::apply(isa, &x, &scale, &shift, &mut y);
    norm::apply_in_place(isa, &scale, &shift, &mut over);
    let mut found = vec![("moments", moments), ("sums", sums), ("y", y), ("y in place", over)];
    let level: Vec<T> = numbers("level", c);
    for (x, accumulate) in [(Some(&x[..]), false), (Some(&x[..]), true), (None, false), (None, true)] {
        let line = norm::Line { gain: &scale[..], slope: &shift[..], level: &level[..] };
        let mut dx = numbers("dx", dy.len());
        norm::backward(isa, line, x, &dy, &mut dx, accumulate);
        found.push(("dx", dx));
    }
    found
}

fn pointwises<T: Real>(isa: Isa, shape: Shape, terms: usize) -> Found<T> {
    let norm = Affine::new(shape.c);
    let planes: Vec<Vec<T>> = (0..terms.max(2)).map(|k| numbers(&format!("x{k}"), shape.len())).collect();
    let weights: Vec<T> = numbers("weights", terms);
    let term = |k: usize| Term { weight: weights[k], source: norm.source(&planes[k], k % 3 == 1) };
    let list: Vec<Term<'_, T>> = (0..terms).map(term).collect();
    let mut sum = numbers("y", shape.len());
    pointwise::sum(isa, &list, shape.c, &mut sum);
    let mut found = vec![("sum", sum)];
    let (x, other) = (&planes[0], &planes[1]);
    for affine in [false, true] {
        let source = norm.source(x, affine);
        let mut relu = zeros(x.len());
        pointwise::relu(isa, source, &mut relu);
        found.extend([("relu", relu), ("dot", vec![pointwise::dot(isa, source, other)])]);
        for accumulate in [false, true] {
            let [mut masked, mut scaled] = [(); 2].map(|()| numbers("d", x.len()));
            pointwise::store_masked(isa, other, Some(source), &mut masked, accumulate);
            pointwise::axpy(isa, T::from_f64(0.7), other, &mut scaled, accumulate);
            found.extend([("masked", masked), ("scaled", scaled)]);
        }
    }
    found
}

fn products<T: Real>(isa: Isa, rows: usize, terms: usize, cols: usize) -> Found<T> {
    let x: Vec<T> = numbers("x", rows * terms + 7);
    let w: Vec<T> = numbers("w", terms * cols + 3);
    // The same product twice, the second time from other places of the factors.
    let taps = [Tap { x: 0, w: 0 }, Tap { x: 7, w: 3 }];
    let mut found = Vec::new();
    for (name, product) in
        [("dense", Product::dense(rows, terms, cols)), ("transposed", Product::transposed(rows, terms, cols))]
    {
        for accumulate in [false, true] {
            let mut y = numbers("y", rows * cols);
            product.run(isa, &taps, &x, &w, &mut y, accumulate);
            found.push((name, y));
        }
    }
    found
}

/// Kernels, strides, dilations and sizes of the networks' windows, those of a factorised pair among them.
fn windows() -> Vec<Window> {
    let mut windows = vec![
        Window { kernel: [1, 7], stride: [1, 2], pad: [0, 3], dilation: [1, 1] },
        Window { kernel: [7, 1], stride: [2, 1], pad: [3, 0], dilation: [1, 1] },
    ];
    for (kernel, dilation) in [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1)] {
        windows.extend([1, 2].map(|stride| Window::same(kernel, stride, dilation)));
    }
    windows
}

#[test]
fn depthwise_and_separable_convolutions() {
    for c in CHANNELS {
        for (k, window) in windows().into_iter().enumerate() {
            // ReLU, a crop and a batch-norm on the way in, in turn.
            let crop = if k % 3 == 2 { [1, 1] } else { [0, 0] };
            let load = Load { relu: k % 2 == 0, crop };
            let source = Shape::new(4, 9, c);
            let conv = Depthwise { source, output: output(source, window, load, c).unwrap(), window, load };
            let affine = (k + c) % 2 == 0;
            agree_in_both!(format!("{conv:?}"), depthwise(conv, affine));
            if k % 4 == 0 {
                let pair = Separable { depthwise: conv, out: CHANNELS[(k + c) % CHANNELS.len()] };
                agree_in_both!(format!("{pair:?}"), separable(pair, affine));
            }
        }
    }
}

#[test]
fn dense_and_grouped_convolutions() {
    let square = |kernel, stride| Window::same(kernel, stride, 1);
    let cases = [
        (1, 5, 1, square(3, 1)),
        (3, 20, 1, square(3, 1)),
        (5, 3, 1, square(3, 2)),
        (16, 16, 1, square(3, 1)),
        (16, 36, 1, square(1, 1)),
        (20, 5, 1, square(1, 2)),
        (4, 36, 2, square(3, 1)),
        (48, 20, 1, square(1, 1)),
        (5, 7, 1, square(5, 1)),
        (6, 16, 2, Window::same(3, 1, 2)),
        (3, 3, 1, Window { kernel: [1, 7], stride: [1, 2], pad: [0, 3], dilation: [1, 1] }),
    ];
    for (k, (c, out, groups, window)) in cases.into_iter().enumerate() {
        for (relu, affine, crop) in [(false, false, 0), (true, false, 0), (true, true, 0), (false, true, 1)] {
            let load = Load { relu, crop: [crop; 2] };
            let source = Shape::new(5 + k % 3, 6 + k % 2, c);
            let output = output(source, window, load, out).unwrap();
            let case = Conv::direct(Convolution { source, output, window, groups, load });
            agree_in_both!(format!("{case:?}"), conv(case, affine));
        }
    }
}

/// A tile's transforms take large numbers from large numbers, which magnifies a rounding about tenfold.
#[test]
fn convolutions_in_winograd_tiles() {
    let window = Window::same(3, 1, 1);
    for method in [Method::Winograd2, Method::Winograd4] {
        for (k, (c, out)) in [(1, 3), (3, 5), (5, 16), (16, 20), (20, 36), (36, 48)].into_iter().enumerate() {
            for (relu, affine, pad) in [(false, false, 1), (true, false, 1), (true, true, 0)] {
                let load = Load { relu, ..Load::default() };
                let (source, window) = (Shape::new(4 + k % 3, 5 + k % 4, c), Window { pad: [pad; 2], ..window });
                let output = output(source, window, load, out).unwrap();
                let case = Conv { shape: Convolution { source, output, window, groups: 1, load }, method };
                let what = format!("{case:?}");
                agree(&what, 1e1 * rounding::<f32>(), |isa| conv::<f32>(isa, case, affine));
                agree(&what, 1e1 * rounding::<f64>(), |isa| conv::<f64>(isa, case, affine));
            }
        }
    }
}

#[test]
fn pools_of_every_kind() {
    for c in CHANNELS {
        for window in [Window::square(3, 1, 1), Window::square(3, 2, 1), Window::square(2, 2, 0), Window::same(5, 1, 1)]
        {
            let source = Shape::new(5, 7, c);
            let output = output(source, window, Load::default(), c).unwrap();
            let pool = Pool { source, output, window };
            agree_in_both!(format!("{pool:?}"), pools(pool));
        }
    }
}

#[test]
fn batch_norms() {
    for c in CHANNELS {
        for (h, w) in [(1, 1), (3, 5), (4, 4)] {
            agree_in_both!(format!("norm {h}x{w}x{c}"), norms(Shape::new(h, w, c)));
        }
    }
}

#[test]
fn sums_and_what_touches_every_scalar_once() {
    for c in CHANNELS {
        for terms in [0, 1, 2, 3, 7, 8, 13] {
            agree_in_both!(format!("{terms} planes of {c} channels"), pointwises(Shape::new(3, 5, c), terms));
        }
    }
}

#[test]
fn matrix_products() {
    for (rows, terms, cols) in
        [(1, 1, 1), (1, 3, 5), (3, 5, 16), (7, 16, 20), (8, 20, 36), (13, 36, 48), (16, 7, 64), (25, 3, 33)]
    {
        agree_in_both!(format!("[{rows}, {terms}] x [{terms}, {cols}]"), products(rows, terms, cols));
    }
}

/// A window and a source that it fits.
fn looks() -> impl Strategy<Value = (Window, Shape, Load)> {
    let side = || (1usize..=5, 1usize..=3, 0usize..=4, 1usize..=2);
    (side(), side(), [1usize..=9, 1usize..=9, 1usize..=21], [0usize..=1, 0usize..=1], any::<bool>())
        .prop_map(|(a, b, [h, w, c], crop, relu)| {
            let window = Window { kernel: [a.0, b.0], stride: [a.1, b.1], pad: [a.2, b.2], dilation: [a.3, b.3] };
            (window, Shape::new(h, w, c), Load { relu, crop })
        })
        .prop_filter("the window fits", |(window, shape, load)| output(*shape, *window, *load, shape.c).is_some())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_window_on_any_source((window, source, load) in looks(), out in 1usize..=19, affine: bool) {
        let c = source.c;
        let of = |c| output(source, window, load, c).unwrap();
        let first = Depthwise { source, output: of(c), window, load };
        agree("depthwise", rounding::<f32>(), |isa| depthwise::<f32>(isa, first, affine));
        agree("separable", rounding::<f32>(), |isa| separable::<f32>(isa, Separable { depthwise: first, out }, affine));
        let dense = Conv::direct(Convolution { source, output: of(out), window, groups: 1, load });
        agree("conv", rounding::<f32>(), |isa| conv::<f32>(isa, dense, affine));
    }
}

/// A sum that treats every logit differently.
fn loss(logits: &Logits) -> LossGradient {
    let weight = |i: usize| 0.3 + 0.1 * (i % 7) as f64;
    let value = logits.values.iter().enumerate().map(|(i, z)| weight(i) * z.sin()).sum();
    let dlogits = logits.values.iter().enumerate().map(|(i, z)| weight(i) * z.cos()).collect();
    LossGradient { value, dlogits }
}

/// Two stages that mix every cell operation, one of them at stride 2, of a number of channels that fills no register.
fn mixed(image: Shape) -> Net {
    let mut net = Net::new();
    let from = net.add("image", Op::Input { shape: image }, &[]).unwrap();
    let widen = Op::Conv2d { out: 6, window: Window::same(3, 1, 1), groups: 1, bias: false };
    let mut at = net.add("widen", widen, &[from]).unwrap();
    let ops = [
        CellOp::None,
        CellOp::MaxPool(3),
        CellOp::AvgPool(3),
        CellOp::SkipConnect,
        CellOp::SepConv(3),
        CellOp::DilConv(5),
        CellOp::Conv7x1_1x7,
    ];
    for stride in [1, 2] {
        let terms: Vec<_> = ops
            .iter()
            .map(|op| lower(&mut net, &format!("mix{stride}.{op}"), *op, at, stride, false, true).unwrap())
            .collect();
        at = net.add(format!("mix{stride}"), Op::MixedSum { weights: (0..terms.len()).collect() }, &terms).unwrap();
    }
    at = net.add("pool", Op::GlobalAvgPool, &[at]).unwrap();
    net.add("fc", Op::Linear { out: 4, bias: true }, &[at]).unwrap();
    net
}

/// Forward and all gradients of a network, and what it recorded.
fn everything<T: Real>(isa: Isa, net: &Net, fusion: Fusion, mode: NormMode) -> Found<T> {
    const N: usize = 3;
    const ALL: Wrt = Wrt { input: true, params: true, mix: true };
    let mut network =
        Network::with(net.clone(), Seed::root(3), &Device::Cpu, T::DTYPE, fusion).unwrap().run_by(Cpu::on(isa));
    let Shape { h, w, c } = net.input_shape();
    let x = Tensor::from_vec(numbers::<T>("image", N * h * w * c), (N, h, w, c), &Device::Cpu).unwrap();
    let mix: Vec<f64> = (0..net.mix_len()).map(|i| 0.05 + 0.02 * i as f64).collect();
    let g = network.gradients(&x, &mix, mode, ALL, &loss).unwrap();
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<T>().unwrap();
    let narrow = |v: Vec<f64>| v.into_iter().map(T::from_f64).collect();
    vec![
        ("logits", narrow(g.logits.values)),
        ("image", flat(&g.input.unwrap())),
        ("weights", flat(&g.params.unwrap())),
        ("mix", narrow(g.mix.unwrap())),
        ("state", flat(network.state())),
    ]
}

/// Dividing by deviations over a batch of three, layer after layer, magnifies a rounding a hundredfold.
#[test]
fn whole_networks() {
    let image = Shape::new(8, 8, 3);
    let residual = PreAct::basic(5, [(1, 5), (1, 20)]).lower(image, 4);
    let nets = [("residual", residual.unwrap()), ("mixed", mixed(image)), ("elements", elements::net(image, 4))];
    for (name, net) in nets {
        for fusion in [Fusion::ALL, Fusion::NONE] {
            for mode in [NormMode::Train, NormMode::Eval] {
                let what = format!("{name} {mode:?} {fusion:?}");
                agree(&what, 1e2 * rounding::<f32>(), |isa| everything::<f32>(isa, &net, fusion, mode));
                agree(&what, 1e2 * rounding::<f64>(), |isa| everything::<f64>(isa, &net, fusion, mode));
            }
        }
    }
}
