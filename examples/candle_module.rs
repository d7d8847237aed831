//! A found network in a program of candle: `cargo run --example candle_module -- arch.json weights.safetensors`, as a search
//! leaves them in its folder.

use candle_core::{D, Device, Tensor, Var};
use candle_nn::{Module, loss::cross_entropy};
use robustnas::arch::op::Shape;
use robustnas::engine::Network;
use robustnas::model::{self, candle::CandleNet};
use robustnas::seed::Seed;

/// Cells that a search found, for a start without files; their weights are fresh.
const FOUND: &str =
    concat!("dsara:", env!("CARGO_MANIFEST_DIR"), "/search_spaces/genotypes/ARNAS.txt,channels=4,layers=6");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::Cpu; // or candle's CUDA or Metal
    let mut arguments = std::env::args().skip(1);
    let net = match (arguments.next(), arguments.next()) {
        (Some(arch), Some(weights)) => CandleNet::load(arch, weights, &device)?,
        _ => {
            let net = model::named(FOUND, Shape::new(32, 32, 3), 10)?;
            CandleNet::of(&Network::new(net, Seed::root(0), &device)?, &device)?
        }
    };

    let Shape { h, w, c } = net.image();
    let pixels = Var::rand(0f32, 1.0, (4, c, h, w), &device)?;
    let logits = net.forward(&pixels)?;
    let labels = logits.argmax(D::Minus1)?;
    println!("answers {:?}", labels.to_vec1::<u32>()?);

    // The gradient flows to the pixels: one step of FGSM.
    let gradients = cross_entropy(&logits, &labels)?.backward()?;
    let gradient = gradients.get(&pixels).ok_or("the answers do not depend on the pixels")?;
    let attacked: Tensor = (pixels.as_tensor() + (gradient.sign()? * (8.0 / 255.0))?)?.clamp(0.0, 1.0)?;
    println!("attacked {:?}", net.forward(&attacked)?.argmax(D::Minus1)?.to_vec1::<u32>()?);
    Ok(())
}
