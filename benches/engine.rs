//! How fast the engine is, beside stock candle in the same run. Times are of this machine and this moment; the ratios carry over.
//!
//! `cargo bench` prints, for networks of the DSARA space and a residual network, the time of every kind of pass, and for
//! single convolutions the ratio of candle's forward and backward to ours (A B A B ..., medians).

use std::time::Instant;

use candle_core::{Device, Tensor, Var};
use robustnas::arch::families::cells::supernet;
use robustnas::arch::families::preact_resnet::PreActResNet;
use robustnas::arch::net::Net;
use robustnas::arch::op::{Op, Shape, Window};
use robustnas::config::Config;
use robustnas::engine::{Network, NormMode, Wrt};
use robustnas::seed::Seed;
use robustnas::train::loss::cross_entropy;

const IMAGE: Shape = Shape::new(32, 32, 3);
const ROUNDS: usize = 7;

fn images(n: usize, c: usize) -> Tensor {
    let mut stream = Seed::root(1).stream();
    let pixels: Vec<f32> = (0..n * 1024 * c).map(|_| stream.uniform()).collect();
    Tensor::from_vec(pixels, (n, 32, 32, c), &Device::Cpu).unwrap()
}

fn seconds(work: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn passes(name: &str, net: Net, batch: usize) {
    let macs = robustnas::arch::cost::cost(&net).macs;
    let mut network = Network::new(net, Seed::root(0), &Device::Cpu).unwrap();
    let mix = vec![1.0 / 7.0; network.net().mix_len()];
    let x = images(batch, 3);
    let labels: Vec<u32> = (0..batch as u32).map(|i| i % 10).collect();
    println!("{name}: {macs} MACs an image, batch {batch}");
    for (pass, wrt, mode) in [
        ("forward", Wrt::NOTHING, NormMode::Eval),
        ("image gradient", Wrt::INPUT, NormMode::TrainNoRecord),
        ("weight gradient", Wrt::PARAMS, NormMode::TrainNoRecord),
        ("mixing gradient", Wrt::MIX, NormMode::TrainNoRecord),
    ] {
        if wrt == Wrt::MIX && mix.is_empty() {
            continue;
        }
        let mut work = || {
            if wrt == Wrt::NOTHING {
                network.logits(&x, &mix, mode).unwrap();
            } else {
                network.gradients(&x, &mix, mode, wrt, &|l| cross_entropy(l, &labels)).unwrap();
            }
        };
        work();
        let time = median((0..ROUNDS).map(|_| seconds(&mut work)).collect());
        println!("  {pass:16} {:9.1} ms  {:8.0} images/s", 1e3 * time, batch as f64 / time);
    }
}

/// One convolution with its image and weight gradients, ours and candle's in turn.
fn against_candle(name: &str, channels: usize, groups: usize) {
    let batch = 32;
    let mut net = Net::new();
    let image = net.add("image", Op::Input { shape: Shape::new(32, 32, channels) }, &[]).unwrap();
    let conv = Op::Conv2d { out: channels, window: Window::same(3, 1, 1), groups, bias: false };
    let conv = net.add("conv", conv, &[image]).unwrap();
    net.add("pool", Op::GlobalAvgPool, &[conv]).unwrap();
    let mut network = Network::new(net, Seed::root(0), &Device::Cpu).unwrap();
    let x = images(batch, channels);
    let labels = vec![0u32; batch];
    let wrt = Wrt { input: true, params: true, mix: false };
    let mut ours = || {
        network.gradients(&x, &[], NormMode::Eval, wrt, &|l| cross_entropy(l, &labels)).unwrap();
    };
    let planar = Var::from_tensor(&x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap()).unwrap();
    let weight = Var::rand(-0.1f32, 0.1, (channels, channels / groups, 3, 3), &Device::Cpu).unwrap();
    let mut theirs = || {
        let y = planar.conv2d(&weight, 1, 1, 1, groups).unwrap();
        y.mean_all().unwrap().backward().unwrap();
    };
    ours();
    theirs();
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        a.push(seconds(&mut ours));
        b.push(seconds(&mut theirs));
    }
    let (a, b) = (median(a), median(b));
    println!("{name:28} ours {:8.2} ms  candle {:8.2} ms  ratio {:6.1}", 1e3 * a, 1e3 * b, b / a);
}

fn main() {
    let path = std::path::Path::new("search_spaces/dsara.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let config = Config::from_toml(&text, path, &[("supernet.channels".into(), "16".into())]).unwrap();
    let skeleton = config.supernet_skeleton(IMAGE, 10).unwrap();
    passes("DSARA supernet, 16 channels, 8 cells", supernet(&skeleton, &config.mix_layout()).unwrap(), 32);
    let resnet = PreActResNet { image: IMAGE, classes: 10, stem: 16, stages: vec![(1, 32), (1, 64), (1, 128)] };
    passes("residual network 32-64-128", resnet.lower().unwrap(), 128);
    against_candle("dense 3x3, 64 channels", 64, 1);
    against_candle("depthwise 3x3, 32 channels", 32, 32);
}
