//! The whole file: header, helpers, classes, `build` and `load`.

use super::class::Class;
use super::helper::{MAIN, WEIGHTS};
use super::{Export, helpers, layer};
use crate::arch::cost::cost;
use crate::arch::file::id_of;
use crate::arch::op::Shape;
use crate::error::Result;
use crate::units::grouped;

/// The longest line.
const LONGEST: usize = 119;

/// Blocks that a class's comment lists.
const NAMED: usize = 3;

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
        let doc =
            if root { format!("Pixels [n, {c}, {h}, {w}] in [0, 1] to logits [n, {n}].") } else { used(&class.used) };
        let python = class.python(&classes[..i], &doc, root && branches > 1);
        body.push(python.lines().map(wrapped).collect::<Vec<_>>().join("\n"));
    }
    body.push(WEIGHTS.trim_end().to_owned());
    body.push(MAIN.to_owned());
    let body = body.join("\n\n\n");
    let mut imports = vec!["import ctypes", "import json"];
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
        "\"\"\"{summary}.\n\nNetwork {id}, written by {program} {version}.\n{params} parameters, {macs} multiply-accumulates an \
         image ({rule}).\nPixels [n, {c}, {h}, {w}] in [0, 1] to logits [n, {n}].\n{branch}\n`build()` \
         makes the network with fresh weights, `load(\"weights.safetensors\")` with those written beside this file;\n`save` \
         writes what was trained. Run by itself, it compares its answers with those it had when it was written.\n\"\"\"",
        summary = summary.replace(['\\', '"'], "'"),
        id = id_of(net)?,
        program = env!("CARGO_PKG_NAME"),
        version = env!("CARGO_PKG_VERSION"),
        params = grouped(cost.params.0, ","),
        macs = grouped(cost.macs.0, ","),
        rule = cost.rule,
    );
    Ok(format!("{head}\n\n{}\n\n\n{body}", imports.join("\n")))
}

/// The blocks that use a class: as many names as fit a line.
fn used(paths: &[String]) -> String {
    let words = |count: usize| {
        let names = paths[..count].join(", ").replace(['\\', '"'], "'");
        match paths.len() - count {
            0 => format!("Used as {names}."),
            more => format!("Used as {names} and {more} more."),
        }
    };
    let count = (1..=paths.len().min(NAMED)).rev().find(|count| words(*count).len() <= LONGEST - 10);
    words(count.unwrap_or(1.min(paths.len())))
}

/// Breaks a line that is too long: a sum gets a line per term, the last outer brackets a line per argument.
fn wrapped(line: &str) -> String {
    if line.len() <= LONGEST {
        return line.to_owned();
    }
    let (line, comma) = line.strip_suffix(',').map_or((line, ""), |line| (line, ","));
    let blank = " ".repeat(line.len() - line.trim_start().len());
    let expression = line.find(" = ").map(|at| at + 3).filter(|_| !line.trim_start().starts_with("self."));
    let expression =
        expression.or_else(|| line.find("return ").map(|at| at + 7)).filter(|at| comma.is_empty() && *at > 0);
    let terms = expression.map(|at| (at, parts(&line[at..], " + "))).filter(|(_, terms)| terms.len() > 1);
    if let Some((at, terms)) = terms {
        let terms: Vec<String> = terms
            .iter()
            .enumerate()
            .map(|(i, term)| wrapped(&format!("{blank}    {}{term}", if i > 0 { "+ " } else { "" })))
            .collect();
        return format!("{}(\n{}\n{blank})", &line[..at], terms.join("\n"));
    }
    let Some(open) = opening(line) else { return format!("{line}{comma}") };
    let inside = parts(&line[open + 1..line.len() - 1], ",");
    let inside: Vec<String> = inside.iter().map(|part| wrapped(&format!("{blank}    {},", part.trim()))).collect();
    format!("{}\n{}\n{blank}{}{comma}", &line[..=open], inside.join("\n"), &line[line.len() - 1..])
}

/// The position of the bracket that the end of the line closes.
fn opening(line: &str) -> Option<usize> {
    if !line.ends_with([')', ']']) {
        return None;
    }
    let mut depth = 0;
    line.char_indices().rev().find_map(|(at, c)| {
        depth += step(c);
        (depth == 0).then_some(at)
    })
}

/// Splits a text at separators outside of brackets.
fn parts<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        if depth == 0 && at >= from && text[at..].starts_with(separator) {
            parts.push(&text[from..at]);
            from = at + separator.len();
        }
        depth -= step(c);
    }
    parts.push(&text[from..]);
    parts
}

/// The change of depth at a bracket, read from the end.
fn step(c: char) -> i32 {
    match c {
        ')' | ']' | '}' => 1,
        '(' | '[' | '{' => -1,
        _ => 0,
    }
}
