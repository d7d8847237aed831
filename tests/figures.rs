//! Figures as files: what `--out` and the options of figures make, read back.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results/example")
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_robustnas")).args(arguments).output().unwrap()
}

fn frontier(out: &Path, more: &[&str]) -> Output {
    let (run_folder, out) = (example(), out.to_str().unwrap());
    run(&[&["frontier", run_folder.to_str().unwrap(), "--out", out], more].concat())
}

/// A PDF as far as the rules of its objects go: what is between `obj` and `endobj`, streams left out.
struct Pdf {
    objects: Vec<String>,
}

impl Pdf {
    fn read(path: &Path) -> Pdf {
        let bytes = std::fs::read(path).unwrap();
        assert!(bytes.starts_with(b"%PDF-1."), "no header");
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        assert!(text.trim_end().ends_with("%%EOF"), "no end");
        let start: usize = text.rsplit("startxref").next().unwrap().split_whitespace().next().unwrap().parse().unwrap();
        assert!(bytes[start..].starts_with(b"xref"), "the table of objects is not where the file says");
        let objects = text.split("endobj").map(|object| object.split("stream\n").next().unwrap().to_owned());
        Pdf { objects: objects.collect() }
    }

    fn count(&self, words: &str) -> usize {
        self.objects.iter().filter(|object| object.contains(words)).count()
    }

    /// Width and height of the page in points.
    fn page(&self) -> (f64, f64) {
        let with_box = self.objects.iter().find(|object| object.contains("/MediaBox")).unwrap();
        let of = with_box.split("/MediaBox").nth(1).unwrap().split(['[', ']']).nth(1).unwrap();
        let numbers: Vec<f64> = of.split_whitespace().map(|number| number.parse().unwrap()).collect();
        (numbers[2] - numbers[0], numbers[3] - numbers[1])
    }
}

#[test]
fn a_pdf_is_vectors_of_the_asked_width_with_its_fonts() {
    let folder = tempfile::tempdir().unwrap();
    for (name, more, points) in [
        ("colour.pdf", &["--width", "8.4cm", "--font-size", "8pt"][..], Some(238.11)),
        ("grey.pdf", &["--width", "84mm", "--palette", "grey"], Some(238.11)),
        ("wide.pdf", &["--width", "7in", "--font-size", "9pt"], Some(504.0)),
        ("screen.pdf", &[], None),
    ] {
        let out = folder.path().join(name);
        let output = frontier(&out, more);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let pdf = Pdf::read(&out);
        assert_eq!(pdf.count("/Type /Page\n"), 1, "{name}: {:?}", pdf.objects);
        assert!(pdf.count("/FontFile") > 0 && pdf.count("/Type /Font\n") > 0, "{name}: no embedded font");
        assert_eq!(pdf.count("/Subtype /Image"), 0, "{name}: an image");
        let (width, height) = pdf.page();
        assert!(points.is_none_or(|points: f64| (width - points).abs() < 0.5), "{name}: {width} points");
        assert!(height > 100.0, "{name}: {height} points");
        // The same figure is the same bytes.
        let bytes = std::fs::read(&out).unwrap();
        frontier(&out, more);
        assert_eq!(bytes, std::fs::read(&out).unwrap(), "{name}");
    }
}

/// What a figure of a paper does not say itself is said for its caption.
#[test]
fn a_caption_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let output = frontier(&folder.path().join("a.svg"), &["--width", "8.4cm"]);
    let said = String::from_utf8(output.stderr).unwrap();
    for words in ["caption: ", "test split, n = 1000 images", "PGD-20", "95 % Wilson", "conv-linear-macs/1"] {
        assert!(said.contains(words), "no `{words}`: {said}");
    }
    let svg = std::fs::read_to_string(folder.path().join("a.svg")).unwrap();
    assert!(svg.contains("width=\"238.11pt\"") && !svg.contains("n = 1000"), "{svg}");
}

/// 8.4 cm at 300 dots an inch.
#[test]
fn a_png_of_a_width_is_fit_for_print() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.png");
    assert!(frontier(&out, &["--width", "8.4cm", "--palette", "grey"]).status.success());
    let picture = image::open(&out).unwrap().to_rgb8();
    assert!(picture.width().abs_diff(992) <= 1, "{} pixels", picture.width());
    assert!(
        picture.pixels().all(|p| p.0[0].abs_diff(p.0[1]) <= 1 && p.0[1].abs_diff(p.0[2]) <= 1),
        "a colour among greys"
    );
}

#[test]
fn numbers_are_those_of_the_figure() {
    let folder = tempfile::tempdir().unwrap();
    let [csv, json] = ["a.csv", "a.json"].map(|name| folder.path().join(name));
    assert!(frontier(&csv, &[]).status.success() && frontier(&json, &[]).status.success());
    let mut reader = csv::Reader::from_path(&csv).unwrap();
    let titles = reader.headers().unwrap().clone();
    let document: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let points = document["runs"][0]["points"].as_array().unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!((rows.len(), points.len()), (9, 9));
    for (row, point) in rows.iter().zip(points) {
        let cell = |title: &str| row.get(titles.iter().position(|t| t == title).unwrap()).unwrap();
        let share = |key: &str| point[key]["hit"].as_f64().unwrap() / point[key]["total"].as_f64().unwrap();
        assert_eq!(cell("arch"), point["arch"].as_str().unwrap());
        assert_eq!(cell("macs"), point["macs"].to_string());
        for key in ["clean", "robust"] {
            assert_eq!(cell(key).parse::<f64>().unwrap(), share(key));
        }
        assert_eq!(cell("dominated"), point["dominated"].to_string());
    }
}

/// Two runs differ by more than their colours.
#[test]
fn runs_differ_without_colour() {
    let folder = tempfile::tempdir().unwrap();
    let (out, run_folder) = (folder.path().join("two.svg"), example());
    let run_folder = run_folder.to_str().unwrap();
    let output = run(&["frontier", run_folder, run_folder, "--out", out.to_str().unwrap(), "--palette", "grey"]);
    assert!(output.status.success());
    let svg = std::fs::read_to_string(&out).unwrap();
    assert_eq!(svg.matches("stroke-width=\"2\" stroke-dasharray=\"7 3\"").count(), 1, "{svg}");
    assert!(!svg.contains("#0072b2") && !svg.contains("#d55e00"));
}

#[test]
fn a_drawing_of_a_network_is_a_pdf_too() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("net.pdf");
    let net = "darts:search_spaces/genotypes/DARTS_V2.txt,channels=36,layers=20";
    let output = run(&["draw", net, "--out", out.to_str().unwrap(), "--width", "17cm", "--palette", "grey"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pdf = Pdf::read(&out);
    assert!((pdf.page().0 - 481.89).abs() < 0.5 && pdf.count("/Subtype /Image") == 0);
    for (more, words) in
        [(&["--font-size", "8pt"][..], "--width"), (&["--width", "8cm", "--font-size", "8pt"], "leave it out")]
    {
        let output = run(&[&["draw", net, "--out", out.to_str().unwrap()], more].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(words));
    }
    let output = run(&["draw", net, "--out", folder.path().join("net.csv").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "a drawing has no numbers");
}

#[test]
fn what_cannot_be_a_figure_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, more, words) in [
        ("a.gif", &[][..], "`.gif` is not known"),
        ("a.pdf", &["--width", "2cm"], "no width for text of 8.0 points"),
        ("a.pdf", &["--width", "8.4"], "in cm, mm, in or pt"),
        ("a.pdf", &["--font-size", "8pt"], "--width"),
        ("a.pdf", &["--palette", "red"], "grey"),
    ] {
        let output = frontier(&at(name), more);
        assert_eq!(output.status.code(), Some(2), "{name} {more:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(words), "{more:?}: {said}");
        assert!(!at(name).exists());
    }
    let training =
        run(&["train", "wrn:16-1", "--data", "synthetic", "--preset", "n-fgsm", "--out", "unused", "--width", "8cm"]);
    assert_eq!(training.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&training.stderr).contains("--figure FILE, which is missing"));
}
