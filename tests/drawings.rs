//! Drawings: what they say, that they are well-formed, that the font is there.

use std::path::Path;

use robustnas::arch::cell::CellOp;
use robustnas::arch::families::cells::{MixEdge, MixKind, MixLayout, Placement, Skeleton, StemKind, derived, supernet};
use robustnas::arch::families::preact::PreAct;
use robustnas::arch::genotype::Genotype;
use robustnas::arch::net::Net;
use robustnas::arch::op::Shape;
use robustnas::arch::spec::NetSpec;
use robustnas::report::png::rasterise;
use robustnas::report::svg::{Anchor, Stroke, Svg, escape};
use robustnas::report::{blocks, cells, row};

fn published(name: &str) -> Genotype {
    let path = format!("{}/search_spaces/genotypes/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    Genotype::parse(&std::fs::read_to_string(&path).unwrap(), Path::new(&path)).unwrap()
}

fn skeleton(placement: &Placement, channels: usize, layers: usize) -> Skeleton {
    let cells = placement.row(channels, layers).unwrap();
    Skeleton {
        image: Shape::new(32, 32, 3),
        classes: 10,
        normalize: None,
        stem: 3 * channels,
        stem_kind: Default::default(),
        cells,
    }
}

fn resnet() -> Net {
    let stages = vec![(2, 16), (2, 32), (2, 64)];
    PreAct::basic(16, stages).lower(Shape::new(32, 32, 3), 10).unwrap()
}

/// Width and height of the picture and its share of dark pixels.
fn picture(svg: &str, scale: f32) -> (u32, u32, f64) {
    let png = rasterise(svg, scale).unwrap();
    let grey = image::load_from_memory(&png).unwrap().to_luma8();
    let dark = grey.pixels().filter(|p| p.0[0] < 128).count();
    (grey.width(), grey.height(), dark as f64 / (grey.width() * grey.height()) as f64)
}

#[test]
fn text_is_escaped() {
    assert_eq!(escape("a<b & 'c' > \"d\"\u{0}"), "a&lt;b &amp; &apos;c&apos; &gt; &quot;d&quot;");
    let mut svg = Svg::new(50.0, 20.0);
    svg.text(1.0, 10.0, 9.0, Anchor::Start, "red\" onload=\"x", "</text><script>");
    let text = svg.finish();
    assert!(!text.contains("<script>") && !text.contains("onload=\"x"), "{text}");
    picture(&text, 1.0);
}

/// Without a font, text would vanish from pictures without a word.
#[test]
fn letters_reach_the_picture() {
    let mut svg = Svg::new(200.0, 40.0);
    let empty = picture(&svg.finish(), 1.0);
    svg.text(100.0, 30.0, 24.0, Anchor::Middle, "#000000", "sep_conv_3x3");
    let (w, h, dark) = picture(&svg.finish(), 2.0);
    assert_eq!((w, h, empty.2), (400, 80, 0.0));
    assert!(dark > 0.02, "{dark}");
}

#[test]
fn text_fits_the_width_it_is_given() {
    for text in ["sep_conv_3x3", "avg_pool_3x3", "skip_connect", "conv_7x1_1x7", "stage0.block1", "123.45M"] {
        let mut svg = Svg::new(400.0, 40.0);
        svg.text(0.0, 30.0, 20.0, Anchor::Start, "#000000", text);
        let png = rasterise(&svg.finish(), 1.0).unwrap();
        let grey = image::load_from_memory(&png).unwrap().to_luma8();
        let right = grey.enumerate_pixels().filter(|(_, _, p)| p.0[0] < 200).map(|(x, _, _)| x).max().unwrap();
        let given = robustnas::report::svg::text_width(text, 20.0);
        assert!(f64::from(right) <= given && given < 1.35 * f64::from(right), "{text}: {right} of {given}");
    }
}

#[test]
fn pictures_of_no_or_too_many_pixels_are_refused() {
    let svg = Svg::new(10.0, 10.0).finish();
    for scale in [0.0, -1.0, f32::NAN, 1e9] {
        assert!(rasterise(&svg, scale).is_err(), "{scale}");
    }
    assert!(rasterise("<html>", 1.0).is_err());
}

#[test]
fn the_same_drawing_is_the_same_bytes() {
    let draw = || cells::draw(&published("ARNAS")).finish();
    assert_eq!(draw(), draw());
    assert_eq!(rasterise(&draw(), 1.0).unwrap(), rasterise(&draw(), 1.0).unwrap());
}

#[test]
fn cells_show_every_edge_and_kind() {
    for name in ["ARNAS", "DARTS_V2", "AmoebaNet", "CROZE", "FairDARTS_a", "LRNAS_c10"] {
        let genotype = published(name);
        let svg = cells::draw(&genotype).finish();
        let edges: usize = genotype.cells.iter().map(|c| c.edges().count()).sum();
        let ops = genotype.cells.iter().flat_map(|c| c.edges()).map(|(_, e)| e.op.to_string());
        let drawn: usize =
            ops.collect::<std::collections::BTreeSet<_>>().iter().map(|o| svg.matches(&format!(">{o}<")).count()).sum();
        assert_eq!(drawn, edges, "{name}");
        for cell in &genotype.cells {
            assert!(svg.contains(&format!(">{} cell<", cell.kind)));
        }
        assert!(picture(&svg, 1.0).2 > 0.005);
    }
    assert!(cells::draw(&published("CROZE")).finish().contains(">2×<"));
}

/// No two operation boxes of a panel overlap.
#[test]
fn boxes_do_not_collide() {
    for name in ["ARNAS", "AmoebaNet", "CROZE", "NASNet"] {
        for cell in &published(name).cells {
            let svg = cells::draw_cell(cell).finish();
            let value = |line: &str, key: &str| -> f64 {
                let start = line.find(&format!(" {key}=\"")).unwrap() + key.len() + 3;
                line[start..].split('"').next().unwrap().parse().unwrap()
            };
            let boxes: Vec<[f64; 4]> = svg
                .lines()
                .filter(|l| l.starts_with("<rect"))
                .skip(1)
                .map(|l| ["x", "y", "width", "height"].map(|k| value(l, k)))
                .collect();
            assert_eq!(boxes.len(), cell.edges().count() + cell.nodes.len() + 3);
            for (i, a) in boxes.iter().enumerate() {
                for b in &boxes[..i] {
                    let apart =
                        a[0] + a[2] <= b[0] || b[0] + b[2] <= a[0] || a[1] + a[3] <= b[1] || b[1] + b[3] <= a[1];
                    assert!(apart, "{name} {}: {a:?} {b:?}", cell.kind);
                }
            }
        }
    }
}

#[test]
fn dot_names_every_edge() {
    let genotype = published("ARNAS");
    let dot = cells::dot(&genotype);
    assert_eq!(dot.matches(" -> ").count(), 3 * (8 + 4));
    assert!(dot.contains("\"robust/0: c_{k-2}\" -> \"robust/2\" [label=\"dil_conv_5x5\"];"), "{dot}");
    assert_eq!(dot.matches('{').count(), dot.matches('}').count());
}

#[test]
fn the_row_shows_stages_widths_and_sizes() {
    let svg = row::draw(&skeleton(&Placement::dsara(), 64, 20)).finish();
    for words in ["6 × accurate", "6 × robust", "reduce", "C = 64", "C = 128", "32×32", "16×16", "8×8", "10 logits"]
    {
        assert!(svg.contains(&format!(">{words}<")), "{words}");
    }
    assert_eq!(
        svg.matches("<polygon").count(),
        2 + 1 + 5 + 1,
        "two reductions, arrows into stem, five groups and head"
    );
    assert!(picture(&svg, 1.0).2 > 0.005);
}

/// The stem for ImageNet gives an eighth of the image's sides.
#[test]
fn the_row_of_a_network_for_imagenet() {
    let imagenet = Skeleton {
        image: Shape::new(224, 224, 3),
        stem: 48,
        stem_kind: StemKind::ImageNet,
        ..skeleton(&Placement::darts(), 48, 14)
    };
    let svg = row::draw(&imagenet).finish();
    for words in ["224×224", "28×28", "14×14", "7×7", "4 × normal"] {
        assert!(svg.contains(&format!(">{words}<")), "{words}");
    }
}

fn named(form: &str, side: usize) -> Net {
    let spec = NetSpec::parse(form).unwrap();
    spec.load(Shape::new(side, side, 3), 10, &|_| unreachable!("no file")).unwrap().0
}

/// The texts of a drawing.
fn texts(svg: &str) -> Vec<&str> {
    let lines = svg.lines().filter(|l| l.starts_with("<text"));
    lines.map(|l| l.split_once('>').unwrap().1.strip_suffix("</text>").unwrap()).collect()
}

/// Every block is in one row of the overview, equal neighbours in one row together.
#[test]
fn blocks_fold_equal_neighbours() {
    let svg = blocks::draw("a network", &named("convnext:tiny", 224)).finish();
    let texts = texts(&svg);
    for (row, times) in [("stage0.block0–2", "× 3"), ("stage2.block0–8", "× 9"), ("stage3.block0–2", "× 3")] {
        let at = texts.iter().position(|t| *t == row).unwrap_or_else(|| panic!("{row}: {texts:?}"));
        assert_eq!(texts[at + 2], times, "{row}");
    }
    for row in ["image", "stem", "stage1.down", "head"] {
        assert!(texts.contains(&row), "{row}");
    }
    assert!(!texts.contains(&"stage2.block4"));
    // A changing block is of another kind than the one behind it.
    let svg = blocks::draw("a network", &resnet()).finish();
    for row in ["stage0.block0–1", "stage1.block0", "stage1.block1", "stage2.block0", "stage2.block1"] {
        assert!(svg.contains(&format!(">{row}<")), "{row}");
    }
    let net = derived(&skeleton(&Placement::dsara(), 16, 20), &published("ARNAS")).unwrap();
    let svg = blocks::draw("a network", &net).finish();
    for row in ["cell0.accurate", "cell6.reduce", "cell15–19.robust"] {
        assert!(svg.contains(&format!(">{row}<")), "{row}");
    }
}

/// The detail says kernel, channels, stride and groups of every operation of a block.
#[test]
fn blocks_show_the_operations_of_each_kind() {
    let svg = blocks::draw("a network", &named("sknet:50", 224)).finish();
    for words in [
        "7×7 conv, 64, stride 2",
        "3×3 max pool, stride 2",
        "1×1 conv, 128",
        "3×3 conv, 128, 32 groups",
        "3×3 conv, 128, dilation 2, 32 groups",
        "softmax over 2",
        "channels 128 to 255",
        "grouped or depthwise convolution",
        "also stage0.block1–2 (× 2), stage1.block1–3 (× 3), stage3.block1–2 (× 2)",
    ] {
        assert!(svg.contains(&format!(">{words}<")), "{words}: {:?}", texts(&svg));
    }
    let svg = blocks::draw("a network", &named("vit:tiny-4", 32)).finish();
    for words in ["block0–11", "attention, 3 heads", "class token", "1×1 conv, 576"] {
        assert!(svg.contains(&format!(">{words}<")), "{words}: {:?}", texts(&svg));
    }
}

/// A network whose names say nothing is divided where one value alone goes on.
#[test]
fn blocks_of_a_network_without_names() {
    let named = resnet();
    let mut layers = named.layers();
    let flat: std::collections::HashMap<String, String> =
        layers.iter().enumerate().map(|(i, l)| (l.name.clone(), format!("n{i}"))).collect();
    for layer in &mut layers {
        layer.name = flat[&layer.name].clone();
        layer.inputs.iter_mut().for_each(|i| *i = flat[i].clone());
    }
    let svg = blocks::draw("a network", &Net::from_layers(&layers).unwrap()).finish();
    let texts = texts(&svg);
    assert!(texts.contains(&"block2–3") && texts.contains(&"× 2"), "{texts:?}");
    // Stem, identity block, what is left of the norm behind it, changing block, head.
    assert!(texts.contains(&"E") && !texts.contains(&"F"), "{texts:?}");
}

/// The cells of a supernet, drawn or left out, stay within what a picture can hold at twice the size.
#[test]
fn blocks_of_a_supernet() {
    let ops = [CellOp::SepConv(3), CellOp::DilConv(5), CellOp::MaxPool(3), CellOp::SkipConnect];
    let mut offset = 0;
    let kinds = ["accurate", "reduce", "robust"].map(|kind| {
        let edges = (2..6).flat_map(|to| (0..to).map(move |from| (from, to))).map(|(from, to)| {
            offset += ops.len();
            MixEdge { from, to, ops: ops.to_vec(), offset: offset - ops.len() }
        });
        MixKind { kind: kind.into(), nodes: 4, edges: edges.collect(), concat: vec![2, 3, 4, 5] }
    });
    let net = supernet(&skeleton(&Placement::dsara(), 8, 8), &MixLayout { kinds: kinds.into(), partial: 1 }).unwrap();
    let svg = blocks::draw("a network", &net);
    assert!(svg.size().0 < 8192.0 && svg.size().1 < 8192.0, "{:?}", svg.size());
    assert!(svg.finish().contains(">cell7.robust<"));
}

/// No text runs out of the picture or into its neighbour.
#[test]
fn nothing_is_cut_off() {
    for (form, side) in [("sknet:50", 224), ("convnext:tiny", 224), ("vit:b-16", 224), ("xcit:small-12", 224)] {
        let svg = blocks::draw("a network", &named(form, side));
        let (width, height) = svg.size();
        let found = placed(&svg.finish());
        for (i, (text, [left, top, right, bottom])) in found.iter().enumerate() {
            let inside = *left >= 0.0 && *top >= 0.0 && *right <= width && *bottom <= height;
            assert!(inside, "{form}: `{text}` at {left}..{right}, {top}..{bottom} of {width}x{height}");
            for (other, [l, t, r, b]) in &found[..i] {
                let apart = *r <= *left || *right <= *l || *b <= *top || *bottom <= *t;
                assert!(apart, "{form}: `{text}` runs into `{other}`");
            }
        }
    }
}

/// The texts of a drawing with the boxes of their letters, left, top, right, bottom; four fifths of the generous width.
fn placed(svg: &str) -> Vec<(String, [f64; 4])> {
    let value = |line: &str, key: &str| -> f64 {
        let start = line.find(&format!(" {key}=\"")).unwrap() + key.len() + 3;
        line[start..].split('"').next().unwrap().parse().unwrap()
    };
    let (mut shifts, mut found) = (vec![(0.0, 0.0)], Vec::new());
    for line in svg.lines() {
        if let Some(shift) = line.strip_prefix("<g transform=\"translate(") {
            let (x, y) = shift.trim_end_matches(")\">").split_once(' ').unwrap();
            let (x0, y0): (f64, f64) = *shifts.last().unwrap();
            shifts.push((x0 + x.parse::<f64>().unwrap(), y0 + y.parse::<f64>().unwrap()));
        } else if line == "</g>" {
            shifts.pop();
        } else if line.starts_with("<text") {
            let text = line.split_once('>').unwrap().1.trim_end_matches("</text>");
            let (x0, y0) = shifts.last().unwrap();
            let (x, y, size) = (x0 + value(line, "x"), y0 + value(line, "y"), value(line, "font-size"));
            let width = 0.8 * robustnas::report::svg::text_width(text, size);
            let left = match () {
                () if line.contains("\"end\"") => x - width,
                () if line.contains("\"middle\"") => x - width / 2.0,
                () => x,
            };
            found.push((text.to_owned(), [left, y - 0.75 * size, left + width, y + 0.2 * size]));
        }
    }
    found
}

#[test]
fn reports_know_no_tensors() {
    let mut folders = vec![std::path::PathBuf::from(format!("{}/src/report", env!("CARGO_MANIFEST_DIR")))];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert!(!std::fs::read_to_string(&path).unwrap().contains("candle"), "{}", path.display());
            }
        }
    }
}

/// Every kind of drawing has ink; the pictures are also written to the folder in `DRAWINGS`, to be looked at.
#[test]
fn pictures_to_look_at() {
    let folder = std::env::var_os("DRAWINGS").map(std::path::PathBuf::from);
    let save = |name: &str, svg: &Svg| {
        let text = svg.finish();
        assert!(picture(&text, 1.0).2 > 0.002, "{name}");
        if let Some(folder) = &folder {
            std::fs::write(folder.join(name), rasterise(&text, 1.5).unwrap()).unwrap();
        }
    };
    for name in ["ARNAS", "DARTS_V2", "AmoebaNet", "CROZE", "LRNAS_c10"] {
        save(&format!("{name}.png"), &cells::draw(&published(name)));
    }
    save("row_dsara.png", &row::draw(&skeleton(&Placement::dsara(), 64, 20)));
    save("row_darts8.png", &row::draw(&skeleton(&Placement::darts(), 16, 8)));
    save("blocks_resnet.png", &blocks::draw("a network", &resnet()));
    let net = derived(&skeleton(&Placement::dsara(), 16, 8), &published("ARNAS")).unwrap();
    save("blocks_arnas.png", &blocks::draw("a network", &net));
    for (form, side) in [
        ("preact-resnet:18", 32),
        ("wrn:depth=28,width=10", 32),
        ("sknet:50", 224),
        ("convnext:tiny", 224),
        ("vit:b-16", 224),
        ("xcit:small-12", 224),
        ("robnet:free", 32),
        ("nb201:|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|", 32),
    ] {
        let name: String = form.chars().take_while(|c| *c != '|').map(|c| if c == ':' { '_' } else { c }).collect();
        save(&format!("blocks_{name}.png"), &blocks::draw("a network", &named(form, side)));
    }
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/attack_net_a/model.onnx");
    let net = robustnas::model::named(model, Shape::new(32, 32, 3), 10).unwrap();
    save("blocks_onnx.png", &blocks::draw("a network", &net));
    let mut lines = Svg::new(100.0, 60.0);
    lines.line((5.0, 5.0), (95.0, 55.0), Stroke::dashed("#000", 1.0)).circle((50.0, 30.0), 10.0, "red", Stroke::NONE);
    save("primitives.png", &lines);
}
