//! Every shipped search space parses, resolves, round-trips, costs what it did, and can be scaled to its own budgets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use robustnas::arch::cost::cost;
use robustnas::arch::families::cells::{derived, supernet};
use robustnas::arch::genotype::{CellGenotype, Edge, Genotype};
use robustnas::arch::op::Shape;
use robustnas::arch::scaling::residual_control;
use robustnas::config::Config;
use robustnas::error::Error;
use serde_json::{Value, json};

const IMAGE: Shape = Shape::new(32, 32, 3);

fn spaces() -> BTreeMap<String, Config> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("search_spaces");
    let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let spaces: BTreeMap<_, _> = files
        .filter(|f| f.extension().is_some_and(|e| e == "toml"))
        .map(|f: PathBuf| {
            let config = Config::from_toml(&std::fs::read_to_string(&f).unwrap(), &f, &[]).unwrap();
            (f.file_name().unwrap().to_str().unwrap().to_owned(), config)
        })
        .collect();
    assert!(spaces.len() >= 3);
    spaces
}

#[test]
fn round_trip() {
    for (name, config) in spaces() {
        let text = config.to_toml().unwrap();
        let again = Config::from_toml(&text, Path::new(&name), &[]).unwrap();
        assert_eq!(again, config, "{name}");
        assert_eq!(again.to_toml().unwrap(), text, "{name}");
    }
}

/// Regenerate with `UPDATE=1 cargo test --test search_spaces` and read the difference.
#[test]
fn golden_costs() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/spaces.json");
    let lines: serde_json::Map<String, Value> = spaces()
        .into_iter()
        .map(|(name, config)| {
            let skeleton = config.supernet_skeleton(IMAGE, 10).unwrap();
            let layout = config.mix_layout();
            let cost = cost(&supernet(&skeleton, &layout).unwrap());
            (name, json!({ "params": cost.params, "macs": cost.macs, "mixing": layout.len() }))
        })
        .collect();
    let found = serde_json::to_string_pretty(&lines).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &found).unwrap();
    }
    let golden = std::fs::read_to_string(&file).expect("no golden file: run once with UPDATE=1");
    assert_eq!(found, golden);
}

/// A genotype of all operations in turn, from the `turn`-th, on the first edges of every node.
fn mixed(config: &Config, turn: usize) -> Genotype {
    let cells = config.mix_layout().kinds.into_iter().map(|kind| {
        let mut ops = (turn..).map(|k| kind.edges[0].ops[k % kind.edges[0].ops.len()]);
        let mut edge = |from| Edge { op: ops.next().unwrap(), from };
        let kept = |to| kind.edges.iter().filter(move |e| e.to == to).take(config.derive.edges_per_node);
        let nodes = (2..kind.nodes + 2).map(|to| kept(to).map(|e| edge(e.from)).collect()).collect();
        CellGenotype { nodes, kind: kind.kind.clone(), concat: kind.concat.clone() }
    });
    Genotype { cells: cells.collect() }
}

/// Mixed genotypes reach every budget of their space, inside band and tolerance.
#[test]
fn budgets_are_reachable() {
    for (name, config) in spaces() {
        let mut missed = 0;
        for turn in 0..7 {
            let genotype = mixed(&config, turn);
            let count = |cells: &[usize], channels: &[usize]| {
                let skeleton = config.scaled_skeleton(IMAGE, 10, cells, channels);
                Ok(cost(&derived(&skeleton, &genotype)?).macs)
            };
            for budget in &config.budgets {
                let choice = config.scaling.candidates(*budget, config.stage_cells().unwrap(), &count);
                let choice = match choice {
                    Ok(choice) => choice,
                    // A study refuses networks that are not of its one size: such a genotype is a trial that failed.
                    Err(Error::Impossible(_)) if config.study.is_some() => {
                        missed += 1;
                        continue;
                    }
                    Err(e) => panic!("{name}, turn {turn}: {e}"),
                };
                for kept in &choice.kept {
                    assert_eq!(count(&kept.cells, &kept.channels).unwrap(), kept.macs);
                    assert!(kept.macs.0.abs_diff(budget.0) as f64 <= config.scaling.tolerance * budget.0 as f64);
                    assert!(
                        (config.scaling.depth_share[0]..=config.scaling.depth_share[1]).contains(&kept.depth_share)
                    );
                }
            }
        }
        assert!(missed <= 3, "{name}: {missed} of 7 genotypes have no network of the size");
        for budget in &config.budgets {
            let (_, net) = residual_control(*budget, IMAGE, 10).unwrap();
            assert!(cost(&net).macs.0.abs_diff(budget.0) * 20 <= budget.0, "{name}, {budget}");
        }
    }
}
