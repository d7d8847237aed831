use candle_core::{Device, Tensor};
use robustnas::arch::cell::CellOp;
use robustnas::arch::families::cells::*;
use robustnas::arch::op::Shape;
use robustnas::arch::families::preact_resnet::PreActResNet;
use robustnas::engine::*;
use robustnas::seed::Seed;
use robustnas::train::loss::cross_entropy;
fn main() {
    let a: Vec<usize> = std::env::args().skip(1).map(|v| v.parse().unwrap()).collect();
    let (c, l, b) = (a[0], a[1], a[2]);
    let ops = vec![CellOp::MaxPool(3), CellOp::AvgPool(3), CellOp::SkipConnect, CellOp::SepConv(3), CellOp::SepConv(5), CellOp::DilConv(3), CellOp::DilConv(5)];
    let p = Placement::dsara();
    let mut offset = 0;
    let kinds = ["accurate", "reduce", "robust"].map(|kind| { let mut edges = vec![]; for to in 2..6 { for from in 0..to { edges.push(MixEdge{from,to,ops:ops.clone(),offset}); offset += 7; } } MixKind { kind: kind.into(), nodes: 4, edges, concat: vec![2,3,4,5] } });
    let sk = Skeleton { image: Shape::new(32,32,3), classes: 10, normalize: None, stem: 3*c, cells: p.row(c,l).unwrap() };
    let net = supernet(&sk, &MixLayout{kinds: kinds.to_vec()}).unwrap();
    let mix = vec![1.0/7.0; net.mix_len()];
    bench("supernet", net, &mix, b);
    let net = PreActResNet { image: Shape::new(32,32,3), classes: 10, stem: 16, stages: vec![(1,32),(1,64),(1,128)] }.lower().unwrap();
    println!("{:?}", robustnas::arch::cost::cost(&net));
    bench("preact", net, &[], 128);
}
fn bench(name: &str, net: robustnas::arch::net::Net, mix: &[f64], b: usize) {
    let t = std::time::Instant::now();
    let macs = robustnas::arch::cost::cost(&net).macs.0;
    let mut n = Network::new(net, Seed::root(1), &Device::Cpu).unwrap();
    let mut s = Seed::root(2).stream();
    let x = Tensor::from_vec((0..b*3072).map(|_| s.uniform()).collect::<Vec<f32>>(), (b,32,32,3), &Device::Cpu).unwrap();
    let y: Vec<u32> = (0..b).map(|i| (i%10) as u32).collect();
    println!("{name}: setup {:?}, macs {:.1}M", t.elapsed(), macs as f64/1e6);
    for (what, wrt, mode) in [("forward", None, NormMode::TrainNoRecord), ("forward eval", None, NormMode::Eval), ("input", Some(Wrt::INPUT), NormMode::TrainNoRecord), ("input eval", Some(Wrt::INPUT), NormMode::Eval), ("params", Some(Wrt::PARAMS), NormMode::Train), ("mix", Some(Wrt::MIX), NormMode::TrainNoRecord)] {
        let mut times = vec![];
        for _ in 0..6 {
            let t = std::time::Instant::now();
            match wrt { None => { n.logits(&x, mix, mode).unwrap(); } Some(w) => { n.gradients(&x, mix, mode, w, &|l| cross_entropy(l, &y)).unwrap(); } }
            times.push(t.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let bytes = n.arena_bytes(b, wrt.unwrap_or(Wrt::NOTHING), mode);
        println!("  {what:14} {:8.1} ms  min {:8.1}  {:6.1} GMAC/s(fwd-equiv) arena {} MB", times[3]*1e3, times[0]*1e3, macs as f64*b as f64/times[3]/1e9, bytes>>20);
    }
}
