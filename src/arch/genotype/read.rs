//! What the lists of a genotype file mean: which edges belong to which node.

use std::collections::BTreeMap;
use std::path::Path;

use super::text::{Field, Reader, Spanned, Value, Written};
use super::{CellGenotype, Edge, Genotype, foreign};
use crate::arch::cell::CellOp;
use crate::error::{Error, Result};

/// Endings of the field that lists a cell's output states; the second is a misspelling found in published files.
const CONCAT: [&str; 2] = ["_concat", "_concate"];

/// Reads a genotype; `label` names the text in errors.
pub(super) fn parse(text: &str, label: &Path) -> Result<Genotype> {
    let fields = match Reader::new(text, label).genotype()? {
        Written::Fields(fields) => foreign::nni(fields, label)?,
        Written::Pairs(value) => foreign::compact(&value, label)?,
    };
    let fail = |at: usize, message: String| Error::data_at(label, at as u64, message);
    let (mut kinds, mut outputs): (Vec<&Field>, Vec<(&str, &Field)>) = (Vec::new(), Vec::new());
    for field in fields.iter().filter(|f| f.value.value != Value::Nothing) {
        match CONCAT.iter().find_map(|ending| field.name.strip_suffix(ending)) {
            Some(kind) if outputs.iter().any(|(k, _)| *k == kind) => {
                return Err(fail(field.at, format!("the output of `{kind}` is given twice")));
            }
            Some(kind) => outputs.push((kind, field)),
            None if kinds.iter().any(|k| k.name == field.name) => {
                return Err(fail(field.at, format!("the cell `{}` is given twice", field.name)));
            }
            None => kinds.push(field),
        }
    }
    if let Some((kind, field)) = outputs.iter().find(|(kind, _)| kinds.iter().all(|k| k.name != *kind)) {
        return Err(fail(
            field.at,
            format!("`{}` gives the output of a cell; expected also `{kind}=[...]`", field.name),
        ));
    }
    if kinds.is_empty() {
        return Err(fail(0, "expected at least one cell, such as `normal=[...]` with `normal_concat=[...]`".into()));
    }
    let cells = kinds
        .into_iter()
        .map(|field| {
            let (_, output) = outputs.iter().find(|(kind, _)| *kind == field.name).ok_or_else(|| {
                fail(field.at, format!("the cell `{0}` has no output; expected also `{0}_concat=[...]`", field.name))
            })?;
            let nodes = nodes(field, label)?;
            let concat = concat(&output.value, nodes.len() + 2, label)?;
            Ok(CellGenotype { kind: field.name.clone(), nodes, concat })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Genotype { cells })
}

/// One entry of a cell's list: an edge, with its target where the file has it.
struct Entry {
    edge: Edge,
    to: Option<Target>,
    at: usize,
}

/// The target of a triple, and whether it was written before the source.
#[derive(Clone, Copy)]
struct Target {
    state: usize,
    first: bool,
}

fn nodes(field: &Field, label: &Path) -> Result<Vec<Vec<Edge>>> {
    let fail = |at: usize, message: String| Err(Error::data_at(label, at as u64, message));
    let Value::List(items) = &field.value.value else {
        return fail(field.value.at, format!("expected the list of edges of the cell `{}`", field.name));
    };
    if items.is_empty() {
        return fail(field.value.at, format!("the cell `{}` has no edges", field.name));
    }
    if let Some(lists) = items.iter().map(node_list).collect::<Option<Vec<_>>>() {
        return lists.into_iter().enumerate().map(|(i, edges)| node(edges, i + 2, label)).collect();
    }
    let entries = items.iter().map(|i| entry(i, label)).collect::<Result<Vec<_>>>()?;
    let targets: Vec<(Target, &Entry)> = entries.iter().filter_map(|e| Some((e.to?, e))).collect();
    if targets.is_empty() {
        return pairs(&entries, field, label);
    }
    if let Some(odd) = entries.iter().find(|e| e.to.is_some() != entries[0].to.is_some()) {
        let what = "pairs and triples are mixed; expected `(op, from)` everywhere or `(op, to, from)` everywhere";
        return fail(odd.at, what.into());
    }
    triples(&targets, label)
}

/// The edges of an item that is a node's list rather than an edge.
fn node_list(item: &Spanned) -> Option<&[Spanned]> {
    match &item.value {
        Value::List(inner) if !inner.is_empty() && inner.iter().all(|i| matches!(i.value, Value::List(_))) => {
            Some(inner)
        }
        Value::List(_) | Value::Text(_) | Value::Int(_) | Value::Nothing => None,
    }
}

/// The edges of the node with state `to`, listed together.
fn node(edges: &[Spanned], to: usize, label: &Path) -> Result<Vec<Edge>> {
    let one = |item: &Spanned| {
        let e = entry(item, label)?;
        if let Some(t) = e.to.filter(|t| t.state != to) {
            let message = format!("the edge leads to state {}, but stands in the list of state {to}", t.state);
            return Err(Error::data_at(label, e.at as u64, message));
        }
        backward(&e, to, label)
    };
    edges.iter().map(one).collect()
}

fn entry(item: &Spanned, label: &Path) -> Result<Entry> {
    let at = item.at;
    let parts: &[Spanned] = if let Value::List(parts) = &item.value { parts } else { &[] };
    let values: Vec<&Value> = parts.iter().map(|p| &p.value).collect();
    let (name, from, to) = match values[..] {
        [Value::Text(name), Value::Int(from)] => (name, *from, None),
        [Value::Text(name), Value::Int(a), Value::Int(b)] if a != b => {
            // An edge leads forward, so the later state is the target, whichever of the two orders a file uses.
            (name, *a.min(b), Some(Target { state: *a.max(b), first: a > b }))
        }
        _ => {
            let what = "expected an edge `('operation', from)` or `('operation', to, from)`";
            return Err(Error::data_at(label, at as u64, what));
        }
    };
    let op: CellOp = name.parse().map_err(|why: String| Error::data_at(label, parts[0].at as u64, why))?;
    Ok(Entry { edge: Edge { op, from }, to, at })
}

fn backward(entry: &Entry, to: usize, label: &Path) -> Result<Edge> {
    if entry.edge.from >= to {
        let message =
            format!("the edge into state {to} reads state {}; expected one of 0 to {}", entry.edge.from, to - 1);
        return Err(Error::data_at(label, entry.at as u64, message));
    }
    Ok(entry.edge)
}

/// How many of `edges` flat pairs belong to each node: all predecessors in order where the sources say so (a cell that
/// keeps every edge), else two each.
pub(super) fn distribution(sources: &[usize]) -> Option<Vec<usize>> {
    let (mut complete, mut total) = (Vec::new(), 0);
    while total < sources.len() {
        complete.push(complete.len() + 2);
        total += complete.len() + 1;
    }
    let full = complete.iter().flat_map(|n| 0..*n);
    if total == sources.len() && full.eq(sources.iter().copied()) {
        return Some(complete);
    }
    sources.len().is_multiple_of(2).then(|| vec![2; sources.len() / 2])
}

fn pairs(entries: &[Entry], field: &Field, label: &Path) -> Result<Vec<Vec<Edge>>> {
    let sources: Vec<usize> = entries.iter().map(|e| e.edge.from).collect();
    let Some(counts) = distribution(&sources) else {
        let message = format!(
            "the cell `{}` has {} pairs; expected two per node, or every predecessor of every node in order \
             (2 + 3 + 4 + ...); with other numbers write triples `(op, to, from)` or one list per node",
            field.name,
            entries.len()
        );
        return Err(Error::data_at(label, field.value.at as u64, message));
    };
    let mut rest = entries.iter();
    counts
        .iter()
        .enumerate()
        .map(|(i, count)| rest.by_ref().take(*count).map(|e| backward(e, i + 2, label)).collect())
        .collect()
}

fn triples(entries: &[(Target, &Entry)], label: &Path) -> Result<Vec<Vec<Edge>>> {
    let fail = |at: usize, message: String| Err(Error::data_at(label, at as u64, message));
    let mut by_target: BTreeMap<usize, (usize, Vec<Edge>)> = BTreeMap::new();
    for (to, entry) in entries {
        if to.first != entries[0].0.first {
            let what = "the triples of a cell name the target now first, now second; expected one order throughout";
            return fail(entry.at, what.into());
        }
        if to.state < 2 {
            return fail(entry.at, "states 0 and 1 are the cell's inputs; expected a target from 2 on".into());
        }
        by_target.entry(to.state).or_insert((entry.at, Vec::new())).1.push(entry.edge);
    }
    let mut nodes = Vec::with_capacity(by_target.len());
    for (state, (at, edges)) in by_target {
        if state != nodes.len() + 2 {
            return fail(at, format!("an edge into state {state}, but none into state {}", nodes.len() + 2));
        }
        nodes.push(edges);
    }
    Ok(nodes)
}

fn concat(value: &Spanned, states: usize, label: &Path) -> Result<Vec<usize>> {
    let fail = |at: usize, message: String| Error::data_at(label, at as u64, message);
    let Value::List(items) = &value.value else {
        return Err(fail(value.at, "expected the output states as a list or range".into()));
    };
    if items.is_empty() {
        return Err(fail(value.at, "the output takes no state; expected for example `[2, 3, 4, 5]`".into()));
    }
    items
        .iter()
        .map(|item| match item.value {
            Value::Int(s) if s < states => Ok(s),
            Value::Int(s) => {
                let message = format!("the output takes state {s}; the cell has the states 0 to {}", states - 1);
                Err(fail(item.at, message))
            }
            _ => Err(fail(item.at, "expected the number of a state".into())),
        })
        .collect()
}
