//! The file as a whole: what it is, what it needs, the classes, and how the network is made.

use super::class::Class;
use super::helper::WEIGHTS;
use super::{Export, helpers, layer};
use crate::arch::cost::cost;
use crate::arch::file::id_of;
use crate::arch::op::Shape;
use crate::error::Result;

/// The longest line.
const LONGEST: usize = 119;

/// How many blocks a class names.
const NAMED: usize = 4;

/// Writes the file.
pub fn write(export: &Export<'_>, classes: &[Class]) -> Result<String> {
    let Export { net, summary } = export;
    let Shape { h, w, c } = net.input_shape();
    let (cost, n) = (cost(net), net.classes());
    let branches = net.branches();
    let mut body = Vec::new();
    for helper in helpers(net, &layer::flat(net)) {
        body.push(helper.source().trim_end().to_owned());
    }
    for (i, class) in classes.iter().enumerate() {
        let root = i + 1 == classes.len();
        let doc = if root {
            format!("Pixels [n, {c}, {h}, {w}] in [0, 1] to logits [n, {n}].")
        } else {
            used(&class.used)
        };
        let python = class.python(&classes[..i], &doc, root && branches > 1);
        body.push(python.lines().map(wrapped).collect::<Vec<_>>().join("\n"));
    }
    body.push(WEIGHTS.trim_end().to_owned());
    let main = format!(
        "if __name__ == \"__main__\":\n    net = load(Path(__file__).with_name(\"weights.safetensors\"))\n    \
         print(net(torch.rand(1, {c}, {h}, {w})).shape)\n"
    );
    body.push(main);
    let body = body.join("\n\n\n");
    let mut imports = vec!["import json"];
    if body.contains("math.") {
        imports.push("import math");
    }
    imports.extend(["from pathlib import Path", "", "import torch"]);
    if body.contains(" F.") || body.contains("(F.") {
        imports.push("import torch.nn.functional as F");
    }
    imports.push("from torch import nn");
    let branch = match branches {
        1 => String::new(),
        _ => format!(
            "\nIts batch normalisations have {branches} branches; `net(x, branch=1)` uses the second ones, as for adversarial \
             images.\n"
        ),
    };
    let head = format!(
        "\"\"\"{summary}: network {id}, written by {program} {version}.\n\n{params} parameters, {macs} multiply-accumulates an \
         image ({rule}).\nPixels [n, {c}, {h}, {w}] in [0, 1] to logits [n, {n}]; normalisation is inside.\n{branch}\n`build()` \
         makes the network with fresh weights, `load(\"weights.safetensors\")` with those written beside this file.\n\"\"\"",
        summary = summary.replace(['\\', '"'], "'"),
        id = id_of(net)?,
        program = env!("CARGO_PKG_NAME"),
        version = env!("CARGO_PKG_VERSION"),
        params = grouped(cost.params.0),
        macs = grouped(cost.macs.0),
        rule = cost.rule,
    );
    Ok(format!("{head}\n\n{}\n\n\n{body}", imports.join("\n")))
}

/// Where a class is used.
fn used(paths: &[String]) -> String {
    let named = &paths[..paths.len().min(NAMED)];
    let more = paths.len() - named.len();
    let paths: Vec<String> = named.iter().map(|path| path.replace(['\\', '"'], "'")).collect();
    match more {
        0 => format!("{}.", paths.join(", ")),
        _ => format!("{} and {more} more.", paths.join(", ")),
    }
}

/// A number in groups of three digits.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or_default()).collect();
    groups.join(",")
}

/// A line in several where it is too long: what stands in its last outer brackets gets a line for each part.
fn wrapped(line: &str) -> String {
    if line.len() <= LONGEST {
        return line.to_owned();
    }
    let Some((open, parts)) = brackets(line) else { return line.to_owned() };
    let indent = line.len() - line.trim_start().len();
    let blank = " ".repeat(indent);
    let close = line.as_bytes()[line.len() - 1] as char;
    let inside: Vec<String> = parts.iter().map(|p| wrapped(&format!("{blank}    {},", p.trim()))).collect();
    format!("{}\n{}\n{blank}{close}", &line[..=open], inside.join("\n"))
}

/// Where the bracket that the line's end closes is opened, and the parts between its commas.
fn brackets(line: &str) -> Option<(usize, Vec<&str>)> {
    if !line.ends_with([')', ']']) {
        return None;
    }
    let (mut depth, mut open) = (0, None);
    for (at, c) in line.char_indices().rev() {
        match c {
            ')' | ']' | '}' => depth += 1,
            '(' | '[' | '{' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            open = Some(at);
            break;
        }
    }
    let open = open?;
    let inside = &line[open + 1..line.len() - 1];
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[from..]);
    Some((open, parts))
}
