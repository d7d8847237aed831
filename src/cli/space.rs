//! `robustnas space check`.

use std::fmt::Write;
use std::path::Path;

use serde_json::json;

use super::{files, spaces};
use crate::arch::cost::cost;
use crate::arch::families::cells;
use crate::arch::op::Shape;
use crate::config::Config;
use crate::error::Result;

/// Names the spaces that are part of the program.
pub fn list() -> Result<()> {
    let lines = spaces::list().map(|(name, about)| format!("{name:12}  {about}\n"));
    files::print(&lines.collect::<String>())
}

/// Checks a space file.
pub fn check(file: &Path, json: bool) -> Result<()> {
    let (text, file) = spaces::read(file)?;
    let config = Config::resolve(&text, &file, &[], &files::read)?;
    let layout = config.mix_layout();
    let cost = cost(&cells::supernet(&config.supernet_skeleton(Shape::new(32, 32, 3), 10)?, &layout)?);
    if json {
        return files::print_json(&json!({
            "name": config.name,
            "supernet": cost,
            "choices": layout.len(),
            "budgets": config.budgets,
            "image": [32, 32, 3],
            "classes": 10,
        }));
    }
    let mut text = format!("{}: {} is valid\n", file.display(), config.name);
    for kind in &layout.kinds {
        let ops: usize = kind.edges.iter().map(|e| e.ops.len()).sum();
        let _ = writeln!(text, "  {}: {} nodes, {} edges, {ops} choices", kind.kind, kind.nodes, kind.edges.len());
    }
    let _ = writeln!(
        text,
        "  supernet: {} cells of {} channels, {} parameters, {} MACs ({}) on a 32x32x3 image",
        config.supernet.layers, config.supernet.channels, cost.params, cost.macs, cost.rule
    );
    files::print(&text)
}
