//! Drawings: what they say, that they are well-formed, that the font is there.

use std::path::Path;

use robustnas::arch::families::cells::{Placement, Skeleton, derived};
use robustnas::arch::families::preact::PreAct;
use robustnas::arch::genotype::Genotype;
use robustnas::arch::net::Net;
use robustnas::arch::op::Shape;
use robustnas::report::png::rasterise;
use robustnas::report::svg::{Anchor, Stroke, Svg, escape};
use robustnas::report::{blocks, cells, row};

fn published(name: &str) -> Genotype {
    let path = format!("{}/search_spaces/genotypes/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    Genotype::parse(&std::fs::read_to_string(&path).unwrap(), Path::new(&path)).unwrap()
}

fn skeleton(placement: &Placement, channels: usize, layers: usize) -> Skeleton {
    let cells = placement.row(channels, layers).unwrap();
    Skeleton { image: Shape::new(32, 32, 3), classes: 10, normalize: None, stem: 3 * channels, cells }
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
    assert!(dot.contains("\"robust/c_{k-2}\" -> \"robust/0\" [label=\"dil_conv_5x5\"];"), "{dot}");
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

#[test]
fn blocks_show_every_block_once() {
    let svg = blocks::draw(&resnet()).finish();
    for stage in 0..3 {
        for block in 0..2 {
            assert_eq!(svg.matches(&format!(">stage{stage}.block{block}<")).count(), 1);
        }
    }
    let net = derived(&skeleton(&Placement::dsara(), 16, 20), &published("ARNAS")).unwrap();
    assert!(blocks::draw(&net).finish().contains(">cell19.robust<"));
}

#[test]
fn reports_know_no_tensors() {
    for file in std::fs::read_dir(format!("{}/src/report", env!("CARGO_MANIFEST_DIR"))).unwrap() {
        let path = file.unwrap().path();
        assert!(!std::fs::read_to_string(&path).unwrap().contains("candle"), "{}", path.display());
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
    save("blocks_resnet.png", &blocks::draw(&resnet()));
    let net = derived(&skeleton(&Placement::dsara(), 16, 8), &published("ARNAS")).unwrap();
    save("blocks_arnas.png", &blocks::draw(&net));
    let mut lines = Svg::new(100.0, 60.0);
    lines.line((5.0, 5.0), (95.0, 55.0), Stroke::dashed("#000", 1.0)).circle((50.0, 30.0), 10.0, "red", Stroke::NONE);
    save("primitives.png", &lines);
}
