//! Cells as other programs write them, as the fields of the tuple that DARTS prints: the pairs of numbers of NASLib and
//! BANANAS, and the dictionaries of NNI's two DARTS.

use std::collections::BTreeMap;
use std::path::Path;

use super::text::{Field, Spanned, Value};
use crate::arch::cell::CellOp;
use crate::error::{Error, Result};

/// The operations that NASLib's compact form numbers (`naslib/search_spaces/nasbench301/conversions.py`), and NNI's first
/// DARTS by name.
const NUMBERED: [CellOp; 7] = [
    CellOp::MaxPool(3),
    CellOp::AvgPool(3),
    CellOp::SkipConnect,
    CellOp::SepConv(3),
    CellOp::SepConv(5),
    CellOp::DilConv(3),
    CellOp::DilConv(5),
];

/// The kinds of cells, in the order of a compact pair.
const KINDS: [&str; 2] = ["normal", "reduce"];

/// The fields of a compact genotype: two cells, each of pairs `(from, operation)`, two a node.
pub(super) fn compact(value: &Spanned, label: &Path) -> Result<Vec<Field>> {
    let fail = |at: usize| {
        let what =
            "expected two cells of pairs `(from, operation)` of numbers, as NASLib's compact form, or `Genotype(...)`";
        Error::data_at(label, at as u64, what)
    };
    let list = |value: &Spanned| match &value.value {
        Value::List(list) => Ok(list.clone()),
        _ => Err(fail(value.at)),
    };
    let cells = list(value)?;
    if cells.len() != KINDS.len() {
        return Err(fail(value.at));
    }
    let mut fields = Vec::new();
    for (kind, cell) in KINDS.into_iter().zip(&cells) {
        let mut edges = Vec::new();
        for pair in list(cell)? {
            let [Value::Int(from), Value::Int(number)] =
                list(&pair)?.iter().map(|v| v.value.clone()).collect::<Vec<_>>()[..]
            else {
                return Err(fail(pair.at));
            };
            let op = NUMBERED.get(number).ok_or_else(|| {
                let what = format!("operation {number} of {}: expected 0 to {}", NUMBERED.len(), NUMBERED.len() - 1);
                Error::data_at(label, pair.at as u64, what)
            })?;
            edges.push(edge(*op, from, pair.at));
        }
        if edges.len() % 2 != 0 || edges.is_empty() {
            return Err(fail(cell.at));
        }
        let nodes = edges.len() / 2;
        fields.extend(cell_fields(kind, Value::List(edges), nodes, cell.at));
    }
    Ok(fields)
}

fn edge(op: CellOp, from: usize, at: usize) -> Spanned {
    let part = |value: Value| Spanned { value, at };
    part(Value::List(vec![part(Value::Text(op.to_string())), part(Value::Int(from))]))
}

/// A cell whose output is all of its nodes.
fn cell_fields(kind: &str, edges: Value, nodes: usize, at: usize) -> [Field; 2] {
    let all = (2..nodes + 2).map(|state| Spanned { value: Value::Int(state), at }).collect();
    let field = |name: String, value: Value| Field { name, at, value: Spanned { value, at } };
    [field(kind.to_owned(), edges), field(format!("{kind}_concat"), Value::List(all))]
}

/// A key of NNI's: `normal/op_2_0`, `normal/input_2_0`; or `normal_n2_p0`, `normal_n2_switch`.
enum Key<'a> {
    /// The operation of an edge of a node.
    Op { kind: &'a str, node: usize, edge: usize },
    /// The state that an edge reads.
    Input { kind: &'a str, node: usize, edge: usize },
    /// The operation on one of a node's states, where it is chosen.
    Choice { kind: &'a str, node: usize, from: usize },
    /// Which of them are chosen.
    Switch,
}

fn key(name: &str) -> Option<Key<'_>> {
    if let Some((kind, rest)) = name.split_once('/') {
        let (what, numbers) = rest.split_once('_')?;
        let (node, edge) = numbers.split_once('_')?;
        let (node, edge) = (node.parse().ok()?, edge.parse().ok()?);
        return match what {
            "op" => Some(Key::Op { kind, node, edge }),
            "input" => Some(Key::Input { kind, node, edge }),
            _ => None,
        };
    }
    let (rest, last) = name.rsplit_once('_')?;
    let (kind, node) = rest.rsplit_once("_n")?;
    let node: usize = node.parse().ok()?;
    match last {
        "switch" => Some(Key::Switch),
        _ => Some(Key::Choice { kind, node, from: last.strip_prefix('p')?.parse().ok()? }),
    }
}

/// An edge of a node while its parts are found.
#[derive(Clone, Default)]
struct Half {
    op: Option<CellOp>,
    from: Option<usize>,
    at: usize,
}

/// The fields of NNI's dictionary, or these fields as they are where they are no such.
pub(super) fn nni(fields: Vec<Field>, label: &Path) -> Result<Vec<Field>> {
    if !fields.iter().any(|field| key(&field.name).is_some()) {
        return Ok(fields);
    }
    let fail = |at: usize, what: String| Error::data_at(label, at as u64, what);
    let switched: Vec<&str> = fields
        .iter()
        .filter(|f| matches!(key(&f.name), Some(Key::Switch)))
        .flat_map(|f| match &f.value.value {
            Value::List(list) => {
                list.iter().filter_map(|v| if let Value::Text(t) = &v.value { Some(&t[..]) } else { None }).collect()
            }
            Value::Text(one) => vec![&one[..]],
            _ => vec![],
        })
        .collect();
    let mut cells: BTreeMap<&str, BTreeMap<usize, BTreeMap<usize, Half>>> = BTreeMap::new();
    for field in &fields {
        // Beside the cells stand the depth and the width, which are said on the command line.
        let Some(key) = key(&field.name) else { continue };
        let at = field.at;
        match key {
            Key::Switch => {}
            Key::Choice { kind, node, from } => {
                let is_empty = matches!(&field.value.value, Value::List(list) if list.is_empty());
                if is_empty || !switched.is_empty() && !switched.contains(&&field.name[..]) {
                    continue;
                }
                let op = Some(operation(&field.value, label)?);
                cells.entry(kind).or_default().entry(node).or_default().insert(from, Half { op, from: Some(from), at });
            }
            Key::Op { kind, node, edge } => {
                let half = cells.entry(kind).or_default().entry(node).or_default().entry(edge).or_default();
                (half.op, half.at) = (Some(operation(&field.value, label)?), at);
            }
            Key::Input { kind, node, edge } => {
                let from = match &field.value.value {
                    Value::Int(from) => *from,
                    Value::List(list) => match list[..] {
                        [Spanned { value: Value::Int(from), .. }] => from,
                        _ => return Err(fail(field.value.at, "expected the one state that the edge reads".into())),
                    },
                    _ => return Err(fail(field.value.at, "expected the state that the edge reads".into())),
                };
                let half = cells.entry(kind).or_default().entry(node).or_default().entry(edge).or_default();
                (half.from, half.at) = (Some(from), at);
            }
        }
    }
    let mut made = Vec::new();
    for (kind, nodes) in cells {
        let mut lists = Vec::new();
        for (place, (node, edges)) in nodes.iter().enumerate() {
            let at = edges.values().next().map_or(0, |half| half.at);
            if *node != place + 2 {
                return Err(fail(at, format!("the cell `{kind}` has a node {node}, but no node {}", place + 2)));
            }
            let mut list = Vec::new();
            for half in edges.values() {
                let (Some(op), Some(from)) = (half.op, half.from) else {
                    return Err(fail(
                        half.at,
                        format!("an edge of node {node} of `{kind}` lacks its operation or its input"),
                    ));
                };
                list.push(edge(op, from, half.at));
            }
            lists.push(Spanned { value: Value::List(list), at });
        }
        let (count, at) = (lists.len(), lists.first().map_or(0, |l| l.at));
        made.extend(cell_fields(kind, Value::List(lists), count, at));
    }
    Ok(made)
}

/// An operation by NNI's names, with underscores or without, or by its number.
fn operation(value: &Spanned, label: &Path) -> Result<CellOp> {
    let fail = |what: String| Error::data_at(label, value.at as u64, what);
    match &value.value {
        Value::Int(number) => {
            NUMBERED.get(*number).copied().ok_or_else(|| fail(format!("operation {number} is not known")))
        }
        Value::List(list) => match &list[..] {
            [one] => operation(one, label),
            _ => Err(fail("expected the one operation of the edge".into())),
        },
        Value::Text(name) => match name.as_str() {
            "maxpool" => Ok(CellOp::MaxPool(3)),
            "avgpool" => Ok(CellOp::AvgPool(3)),
            name => {
                let bare = |text: &str| text.replace('_', "");
                let found = CellOp::ALL.into_iter().find(|op| bare(&op.to_string()) == bare(name));
                found.map_or_else(|| name.parse().map_err(fail), Ok)
            }
        },
        Value::Nothing => Err(fail("expected an operation".into())),
    }
}
