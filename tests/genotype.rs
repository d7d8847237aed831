//! Genotype and NAS-Bench-201 text: published files, every variant in circulation, places of errors, round trips.

use std::path::Path;

use proptest::prelude::*;
use robustnas::arch::cell::CellOp;
use robustnas::arch::genotype::{CellGenotype, Edge, Genotype};
use robustnas::arch::nb201::Nb201Cell;
use robustnas::error::Error;

fn parse(text: &str) -> Genotype {
    Genotype::parse(text, Path::new("test")).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

/// Byte and message of the error in a text.
fn refusal(text: &str) -> (u64, String) {
    match Genotype::parse(text, Path::new("g.txt")) {
        Err(Error::Data { path, at: Some(at), message }) => {
            assert_eq!(path, Path::new("g.txt"));
            (at, message)
        }
        other => panic!("expected an error with a byte, got {other:?}\n{text}"),
    }
}

/// Asserts that the error stands where `^` marks the text (the mark is taken out) and speaks of `words`.
#[track_caller]
fn refused(marked: &str, words: &str) {
    let at = marked.find('^').expect("a mark");
    let (found, message) = refusal(&marked.replacen('^', "", 1));
    assert_eq!(found, at as u64, "{message}");
    assert!(message.contains(words), "{message}");
}

fn edge(op: &str, from: usize) -> Edge {
    Edge { op: op.parse().unwrap(), from }
}

fn published(name: &str) -> Genotype {
    let path = format!("{}/search_spaces/genotypes/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    Genotype::parse(&std::fs::read_to_string(&path).unwrap(), Path::new(&path)).unwrap()
}

#[test]
fn published_files_read_and_round_trip() {
    let folder = format!("{}/search_spaces/genotypes", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let genotype = Genotype::parse(&std::fs::read_to_string(&path).unwrap(), &path).unwrap();
        genotype.cells.iter().for_each(|c| c.validate().unwrap());
        assert_eq!(parse(&genotype.to_string()), genotype, "{}", path.display());
        assert_eq!(parse(&genotype.to_string()).to_string(), genotype.to_string());
        count += 1;
    }
    assert!(count >= 20, "{count} files");
}

#[test]
fn the_darts_tuple_is_written_as_darts_prints_it() {
    let text = "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1)], normal_concat=[2], \
                reduce=[('max_pool_3x3', 1), ('none', 0)], reduce_concat=[2])";
    let genotype = parse(text);
    assert_eq!(genotype.to_string(), text);
    assert_eq!(genotype.cells[0].nodes, [[edge("sep_conv_3x3", 0), edge("skip_connect", 1)]]);
}

#[test]
fn every_spelling_of_one_genotype() {
    let plain = parse("Genotype(n=[('sep_conv_3x3', 0), ('skip_connect', 1)], n_concat=range(2, 3))");
    for text in [
        "X = Genotype(n=[('sep_conv_3x3', 0), ('skip_connect', 1)], n_concat=(2,))",
        "# first\nX=genotypes.Genotype ( n = [ [\"sep_conv_3x3\" , 0] , # why\n\n ['skip_connect',1,], ],\n n_concat=[2,],\t)\n# end",
        r#"{"n": [["sep_conv_3x3", 0], ["skip_connect", 1]], "n_concat": [2]}"#,
        r#"{"n_concate": [2], "n": [["sep_conv_3x3", 0], ["skip_connect", 1]]}"#,
        "Genotype(n=[('sep_conv_3x3', 2, 0), ('skip_connect', 2, 1)], n_concat=[2])",
        "Genotype(n=[('sep_conv_3x3', 0, 2), ('skip_connect', 1, 2)], n_concat=[2])",
        "Genotype(n=[[('sep_conv_3x3', 0), ('skip_connect', 1)]], n_concat=[2], connectN=None, connects=None)",
        "Genotype(n=[(('sep_conv_3x3', 0, 2), ('skip_connect', 1, 2))], n_concat=[2])",
    ] {
        assert_eq!(parse(text), plain, "{text}");
    }
}

#[test]
fn kinds_keep_their_names_and_order() {
    let kinds: Vec<String> = published("ARNAS").cells.into_iter().map(|c| c.kind).collect();
    assert_eq!(kinds, ["accurate", "reduce", "robust"]);
}

#[test]
fn none_inside_a_final_genotype() {
    let cell = published("LRNAS_c10").cell("reduce").unwrap().clone();
    assert_eq!(cell.nodes[0], [edge("none", 0), edge("none", 1)]);
}

#[test]
fn fourteen_pairs_are_every_predecessor_and_repeated_outputs_stay() {
    let cell = published("CROZE").cell("normal").unwrap().clone();
    assert_eq!(cell.nodes.iter().map(Vec::len).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert_eq!(cell.nodes[3][4], edge("sep_conv_7x7", 4));
    assert_eq!(cell.concat, [4, 5, 3, 4]);
}

#[test]
fn fourteen_pairs_in_another_order_are_two_each() {
    let pairs = "('skip_connect', 1), ('skip_connect', 0), ".repeat(7);
    let genotype = parse(&format!("Genotype(n=[{pairs}], n_concat=[8])"));
    assert_eq!(genotype.cells[0].nodes.len(), 7);
}

#[test]
fn five_nodes_with_a_partial_output() {
    let amoeba = published("AmoebaNet");
    let reduce = amoeba.cell("reduce").unwrap();
    assert_eq!((reduce.nodes.len(), &reduce.concat[..]), (5, &[3, 4, 6][..]));
    assert_eq!(reduce.nodes[4], [edge("conv_7x1_1x7", 0), edge("sep_conv_3x3", 5)]);
}

#[test]
fn triples_give_nodes_of_any_size() {
    let cell = published("FairDARTS_a").cell("normal").unwrap().clone();
    assert_eq!(cell.nodes.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1]);
    assert!(Genotype { cells: vec![cell] }.to_string().contains("('max_pool_3x3', 3, 0)"));
}

#[test]
fn nested_lists_are_nodes() {
    let cell = published("GDAS_V1").cell("normal").unwrap().clone();
    assert_eq!(cell.nodes[2], [edge("sep_conv_3x3", 3), edge("skip_connect", 0)]);
}

#[test]
fn errors_name_the_byte_and_what_was_expected() {
    refused("^", "expected `Genotype(...)`");
    refused("Genotype^", "expected `Genotype(...)`");
    refused("Genotype(^[])", "expected a field");
    refused("Genotype(n=[('sep_conv_3x3', 0), (^'sep_conv_3x4', 1)], n_concat=[2])", "did you mean `sep_conv_3x3`");
    refused(
        "Genotype(n=[('skip_connect', 0), ^('skip_connect', 2)], n_concat=[2])",
        "reads state 2; expected one of 0 to 1",
    );
    refused("Genotype(n=[('skip_connect', 0), ('skip_connect', 1)], n_concat=[2, ^3])", "states 0 to 2");
    refused("Genotype(n=[('skip_connect', 0), ('skip_connect', 1)], n_concat=^[])", "takes no state");
    refused(
        "Genotype(n=^[('skip_connect', 0), ('skip_connect', 1), ('skip_connect', 1)], n_concat=[2])",
        "has 3 pairs",
    );
    refused("Genotype(n=^[], n_concat=[2])", "no edges");
    refused("Genotype(^n=[('skip_connect', 0), ('skip_connect', 1)])", "n_concat");
    refused("Genotype(^m_concat=[2])", "expected also `m=");
    refused("Genotype(n=[('skip_connect', 0), ('skip_connect', 1)], n_concat=[2], ^n=[])", "twice");
    refused("Genotype(n=[('skip_connect', 0), ('skip_connect', 1)], n_concat=[2], ^n_concate=[2])", "twice");
    refused("Genotype(n=[('skip_connect', 0), ^('skip_connect', 2, 1)], n_concat=[2])", "mixed");
    refused("Genotype(n=[('skip_connect', 2, 0), ^('skip_connect', 1, 2)], n_concat=[2])", "one order");
    refused("Genotype(n=[('skip_connect', 2, 0), ^('skip_connect', 4, 1)], n_concat=[2])", "none into state 3");
    refused("Genotype(n=[^('skip_connect', 1, 0)], n_concat=[2])", "inputs");
    refused("Genotype(n=[^('skip_connect', 2, 2)], n_concat=[2])", "expected an edge");
    refused("Genotype(n=[^'skip_connect', 0], n_concat=[2])", "expected an edge");
    refused("Genotype(n=[('skip_connect', 0), ('skip_connect', 1)^", "expected `,` or `]`");
    refused("Genotype(n=[('skip_connect', ^0.5), ('skip_connect', 1)], n_concat=[2])", "whole number");
    refused("Genotype(n=[(^'skip_connect, 0)], n_concat=[2])", "closes on its line");
    refused("Genotype(n=[('skip_connect', 0), ('skip_connect', 1)], n_concat=range^(2, 99999999999))", "at most 1024");
    refused("Genotype(n=[('skip_connect', 0), ('skip_connect', 1)], n_concat=range^('a'))", "range(a, b)");
    refused("Genotype(n=[[('skip_connect', 0), ^('skip_connect', 3, 1)]], n_concat=[2])", "list of state 2");
    refused("Genotype(n=[('skip_connect', 0), ('skip_connect', 1)], n_concat=[2])\n^M = Genotype()", "one genotype");
    refused("{\"n\" ^[]}", "expected `:`");
    refused("{^\"a b\": []}", "letters, digits");
    refused("{^\"\": []}", "letters, digits");
    refused("ä = Genotype(n=^ö)", "expected a list");
}

#[test]
fn deep_nesting_is_refused_not_a_crash() {
    let text = format!("Genotype(n={}", "[".repeat(100_000));
    assert!(refusal(&text).1.contains("nested"));
}

fn any_cell(kind: &'static str) -> impl Strategy<Value = CellGenotype> {
    let node = |to: usize| {
        let edge = (0..CellOp::ALL.len(), 0..to).prop_map(|(op, from)| Edge { op: CellOp::ALL[op], from });
        prop_oneof![3 => prop::collection::vec(edge.clone(), 2), 1 => prop::collection::vec(edge, 1..5)]
    };
    (1usize..7)
        .prop_flat_map(move |n| {
            let nodes: Vec<_> = (2..n + 2).map(node).collect();
            (nodes, prop::collection::vec(0..n + 2, 1..6))
        })
        .prop_map(move |(nodes, concat)| CellGenotype { kind: kind.into(), nodes, concat })
}

/// A cell that keeps every edge in order, the reading flat pairs prefer.
fn complete_cell() -> impl Strategy<Value = CellGenotype> {
    (1usize..6, prop::collection::vec(0..CellOp::ALL.len(), 30)).prop_map(|(n, ops)| {
        let mut ops = ops.into_iter().map(|i| CellOp::ALL[i]);
        let mut node = |to| (0..to).map(|from| Edge { op: ops.next().unwrap(), from }).collect();
        CellGenotype { kind: "full".into(), nodes: (2..n + 2).map(&mut node).collect(), concat: vec![n + 1] }
    })
}

/// Two edges per node whose flat pairs look like a complete cell: must not be written flat.
#[test]
fn look_alikes_are_written_as_triples() {
    let sources = [[0, 1], [0, 1], [2, 0], [1, 2], [3, 0], [1, 2], [3, 4]];
    let nodes = sources.iter().map(|n| n.iter().map(|f| edge("skip_connect", *f)).collect()).collect();
    let genotype = Genotype { cells: vec![CellGenotype { kind: "n".into(), nodes, concat: vec![8] }] };
    assert_eq!(parse(&genotype.to_string()), genotype);
}

proptest! {
    #[test]
    fn any_genotype_round_trips(a in any_cell("normal"), b in any_cell("reduce"), c in complete_cell()) {
        let genotype = Genotype { cells: vec![a, b, c] };
        prop_assert_eq!(parse(&genotype.to_string()), genotype);
    }

    /// Broken text is an error or a genotype, never a crash.
    #[test]
    fn any_edit_is_survived(at in 0usize..500, what in "\\PC{0,3}") {
        let text = published("ARNAS").to_string();
        let at = at.min(text.len());
        let text = format!("{}{what}{}", &text[..at], &text[(at + 1).min(text.len())..]);
        let _ = Genotype::parse(&text, Path::new("test")).map(|g| parse(&g.to_string()));
    }

    #[test]
    fn any_nb201_cell_round_trips(ops in prop::array::uniform6(0usize..5)) {
        let cell = Nb201Cell::new(ops.map(|i| Nb201Cell::OPS[i])).unwrap();
        prop_assert_eq!(Nb201Cell::parse(&cell.to_string(), Path::new("test")).unwrap(), cell);
    }
}

#[test]
fn nb201_text_and_its_errors() {
    let text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|";
    let cell = Nb201Cell::parse(text, Path::new("test")).unwrap();
    assert_eq!(cell.to_string(), text);
    assert_eq!(cell.ops()[2], CellOp::AvgPool(3));
    assert_eq!(Nb201Cell::parse(&format!(" {text}\n"), Path::new("test")).unwrap(), cell);
    let json = serde_json::to_string(&cell).unwrap();
    assert_eq!(serde_json::from_str::<Nb201Cell>(&json).unwrap(), cell);
    assert!(Nb201Cell::new([CellOp::SepConv(3); 6]).is_err());
    for (marked, words) in [
        ("^", "expected `|`"),
        ("|^conv~0|", "expected one of none"),
        ("|none^|+", "expected `~0|`"),
        ("|none^~1|", "expected `~0|`"),
        ("|none~0|^|none~0|", "expected `+|`"),
        ("|^sep_conv_3x3~0|", "has no `sep_conv_3x3`"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|^+", "expected the end"),
        ("|none~0|+|none~0|none~1|^", "expected `+|`"),
        ("|^ä~0|", "expected one of"),
    ] {
        let at = marked.find('^').unwrap() as u64;
        match Nb201Cell::parse(&marked.replacen('^', "", 1), Path::new("test")) {
            Err(Error::Data { at: Some(found), message, .. }) => {
                assert_eq!(found, at, "{marked}: {message}");
                assert!(message.contains(words), "{marked}: {message}");
            }
            other => panic!("{marked}: {other:?}"),
        }
    }
}

/// The same cells as other versions, programs and editors write them.
#[test]
fn genotypes_are_read_as_people_have_them() {
    let plain = "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('max_pool_3x3', 0), ('dil_conv_5x5', 2)], \
                 normal_concat=[2, 3], reduce=[('max_pool_3x3', 0), ('avg_pool_3x3', 1), ('sep_conv_5x5', 2), \
                 ('dil_conv_3x3', 0)], reduce_concat=[2, 3])";
    let numpy = |module: &str| {
        let mut text = plain.to_owned();
        for state in 0..3 {
            text = text.replace(&format!(", {state})"), &format!(", {module}({state}))"));
        }
        text.replace("('max_pool_3x3'", "(np.str_('max_pool_3x3')")
    };
    let switch = r#"{"normal_n2_p0": "sepconv3x3", "normal_n2_p1": "skipconnect", "normal_n2_switch": ["normal_n2_p0", "normal_n2_p1"],
        "normal_n3_p0": "maxpool", "normal_n3_p1": [], "normal_n3_p2": "dilconv5x5", "normal_n3_switch": ["normal_n3_p0", "normal_n3_p2"],
        "reduce_n2_p0": "maxpool", "reduce_n2_p1": "avgpool", "reduce_n2_switch": ["reduce_n2_p0", "reduce_n2_p1"],
        "reduce_n3_p0": 5, "reduce_n3_p1": "none", "reduce_n3_p2": 4, "reduce_n3_switch": ["reduce_n3_p0", "reduce_n3_p2"]}"#;
    let keys = r#"{"width": 36, "num_cells": 20, "normal/op_2_0": "sep_conv_3x3", "normal/input_2_0": 0, "normal/op_2_1": "skip_connect",
        "normal/input_2_1": [1], "normal/op_3_0": "max_pool_3x3", "normal/input_3_0": [0], "normal/op_3_1": "dil_conv_5x5",
        "normal/input_3_1": 2, "reduce/op_2_0": "max_pool_3x3", "reduce/input_2_0": 0, "reduce/op_2_1": "avg_pool_3x3",
        "reduce/input_2_1": 1, "reduce/op_3_0": "sep_conv_5x5", "reduce/input_3_0": 2, "reduce/op_3_1": "dil_conv_3x3",
        "reduce/input_3_1": 0}"#;
    let forms = [
        numpy("np.int64"),
        numpy("numpy.int32"),
        numpy("int64").replace("[2, 3]", "array([2, 3])"),
        format!("\u{feff}{plain}"),
        format!("\u{feff}DARTS = {plain}\r\n"),
        format!("11/26 03:15:27 PM genotype = {plain}\n"),
        format!("2024-11-26 15:15:27,123 INFO root: genotype = {plain}\n11/26 03:15:28 PM lr 0.01"),
        format!("[epoch 49] valid_acc 97.1\ngenotype: {plain}"),
        "(((0, 3), (1, 2), (0, 0), (2, 6)), ((0, 0), (1, 1), (2, 4), (0, 5)))".to_owned(),
        "[[[0, 3], [1, 2], [0, 0], [2, 6]], [[0, 0], [1, 1], [2, 4], [0, 5]]]".to_owned(),
        keys.to_owned(),
    ];
    for text in &forms {
        assert_eq!(parse(text), parse(plain), "{text}");
    }
    // Choices of a node come in the order of its states.
    let mut cells = parse(plain).cells;
    cells[1].nodes[1].reverse();
    assert_eq!(parse(switch), Genotype { cells });
}

#[test]
fn other_programs_genotypes_are_refused_where_they_are_wrong() {
    let tuple = "Genotype(normal=[('none', 0), ('none', 1)], normal_concat=[2])";
    refused(&format!("^10:00 genotype = {tuple}\n10:01 genotype = {tuple}"), "expected one genotype, of 2");
    refused("(((0, 3), ^(1, 9)), ((0, 0), (1, 1)))", "expected 0 to 6");
    refused("^(((0, 3), (1, 2)),)", "two cells");
    refused("(^((0, 3), (1, 2), (0, 1)), ((0, 0), (1, 1)))", "two cells of pairs");
    refused(r#"{^"normal/op_2_0": "none"}"#, "lacks its operation or its input");
    refused(r#"{"normal/op_3_0": "none", ^"normal/input_3_0": 0}"#, "no node 2");
    refused(r#"{"normal/op_2_0": ^"sepconv9x9", "normal/input_2_0": 0}"#, "unknown operation");
    refused("Genotype(normal=[('none', np.int64^(0, 1))], normal_concat=[2])", "one value");
}
