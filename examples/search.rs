//! Runs a search of seconds from code and prints its ranking: `cargo run --release --example search -- FOLDER`.
//!
//! Networks that were trained for seconds are no better than chance, and the ranking says so. A search that finds anything
//! takes longer: `robustnas search` runs the same with the settings of a file in `search_spaces/`.

use std::path::Path;

use robustnas::config::{Config, Setting};
use robustnas::error::Result;
use robustnas::jobs::Interrupt;
use robustnas::jobs::search::{Job, run};
use robustnas::report::table::table;

const SPACE: &str = include_str!("../search_spaces/dsara-tiny.toml");

/// Laid over the space's settings: a tenth of the images and epochs, and networks of two million multiply-accumulates.
const SETTINGS: [(&str, &str); 15] = [
    ("budgets", "['2M']"),
    ("split.train", "300"),
    ("split.validation", "60"),
    ("split.test", "40"),
    ("supernet.channels", "2"),
    ("search.epochs", "2"),
    ("search.stage_one_epochs", "1"),
    ("search.warmup_epochs", "0"),
    ("search.batch", "32"),
    ("search.probe", "32"),
    ("retrain.epochs", "1"),
    ("derive.genotypes", "2"),
    ("scaling.depth_share", "[0.5, 0.99]"),
    ("scaling.tolerance", "0.4"),
    ("evaluate.attacks.1.steps", "4"),
];

fn main() -> Result<()> {
    let settings = SETTINGS.map(|(key, value)| Setting::new(key, value));
    let config = Config::from_toml(SPACE, Path::new("dsara-tiny.toml"), &settings)?;
    let out = std::env::args().nth(1).unwrap_or_else(|| "target/example-search".into());

    // A run that was interrupted goes on where it was; the folder has the networks, their weights and all numbers.
    let job = Job { argv: std::env::args().collect(), ..Job::new(config, out.into()) };
    let ranked = run(&job, &Interrupt::never(), &mut ())?;
    print!("{}", table(&ranked));
    Ok(())
}
