//! Counts a network and draws its blocks: `cargo run --example count_and_draw -- NETWORK PICTURE.svg`.

use std::path::Path;

use robustnas::arch::cost::{cost, per_node};
use robustnas::arch::op::Shape;
use robustnas::error::{IoContext, Result};
use robustnas::{model, report};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "wrn:28-10".into());

    let net = model::named(&name, Shape::new(32, 32, 3), 10)?;
    let total = cost(&net);
    println!("{name}: {} parameters, {} multiply-accumulates", total.params, total.macs);

    let mut layers = per_node(&net);
    layers.sort_by_key(|layer| std::cmp::Reverse(layer.macs));
    for layer in layers.iter().take(5) {
        println!("{:>8} {} {} to {}", layer.macs.to_string(), layer.name, layer.op, layer.shape);
    }

    let picture = report::blocks::draw(&name, &net).finish();
    match arguments.next() {
        Some(path) => std::fs::write(&path, picture).at(Path::new(&path))?,
        None => println!("a drawing of {} bytes of SVG; name a file to keep it", picture.len()),
    }
    Ok(())
}
