//! Networks as they are typed and filed: what is printed is read back, a file says what a form says, and elements change
//! what they name alone.

use std::path::Path;

use proptest::prelude::*;
use robustnas::arch::cost::cost;
use robustnas::arch::families::Model;
use robustnas::arch::net::Net;
use robustnas::arch::op::{Op, Shape};
use robustnas::arch::spec::NetSpec;
use robustnas::error::{Error, Result};

const CIFAR: Shape = Shape::new(32, 32, 3);

fn load(form: &str) -> Result<Net> {
    NetSpec::parse(form)?.load(CIFAR, 10, &|_| unreachable!("no file")).map(|(net, ..)| net)
}

/// A network file of a text.
fn load_file(text: &str) -> Result<Net> {
    let read = |path: &Path| match path.to_str() {
        Some("some/net.toml") => Ok(text.as_bytes().to_vec()),
        _ => std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source }),
    };
    NetSpec::Toml("some/net.toml".into()).load(CIFAR, 10, &read).map(|(net, ..)| net)
}

/// Names and shapes of the parameters.
fn params(net: &Net) -> Vec<(String, Vec<usize>)> {
    let of = |(id, node): (_, &robustnas::arch::net::Node)| {
        let shapes = node.op.params(&net.input_shapes(id));
        shapes
            .into_iter()
            .map(|(suffix, shape)| (format!("{}.{suffix}", node.name), shape.into_vec()))
            .collect::<Vec<_>>()
    };
    net.nodes().flat_map(of).collect()
}

#[test]
fn every_family_reads_its_example() {
    for (word, example) in Model::WORDS.into_iter().filter(|(word, _)| *word != "nb201") {
        let spec = NetSpec::parse(&format!("{word}:{example}")).unwrap();
        assert_eq!(spec.to_string(), format!("{word}:{example}"));
        assert!(matches!(spec, NetSpec::Model(model) if model.word() == word));
    }
}

/// The documentation's table of families: forms, and what stands beside them.
fn documented() -> impl Iterator<Item = (&'static str, &'static str)> {
    let (_, families) = include_str!("../docs/networks.md").split_once("## Families").unwrap();
    let (table, _) = families.split_once("## Elements").unwrap();
    table.lines().filter(|row| row.starts_with("| `")).map(|row| row.split_once(" | ").unwrap())
}

#[test]
fn documented_forms_are_read() {
    let mut read = 0;
    for (forms, _) in documented() {
        for form in forms.split('`').skip(1).step_by(2) {
            let form = form.replace("CELL", "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|");
            NetSpec::parse(&form).unwrap_or_else(|why| panic!("{form}: {why}"));
            read += 1;
        }
    }
    assert!(read > 30, "{read} forms");
}

/// Every key that a family or an element has is in the documentation.
#[test]
fn keys_are_documented() {
    let (_, elements) = include_str!("../docs/networks.md").split_once("## Elements").unwrap();
    for (word, _) in Model::WORDS {
        let own = documented().filter(|(forms, _)| forms.contains(&format!("`{word}:")));
        let own: String = own.flat_map(|(forms, what)| [forms, what]).collect();
        let why = NetSpec::parse(&format!("{word}:not-a-key-of-any-family=1")).unwrap_err().to_string();
        let (_, keys) = why.split_once("known: ").unwrap_or_else(|| panic!("{word}: {why}"));
        for key in keys.split(", ").filter(|key| *key != "model") {
            let known = own.contains(&format!("{key}=")) || elements.contains(&format!("`{key}`"));
            assert!(known, "{word}: `{key}`");
        }
    }
}

fn one_of(choices: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(choices).prop_map(str::to_owned)
}

fn family() -> impl Strategy<Value = String> {
    let three = || (1..60usize, 1..60usize, 1..60usize).prop_map(|(a, b, c)| format!("{a}-{b}-{c}"));
    prop_oneof![
        one_of(&["preact-resnet:18", "preact-resnet:50,width=32", "preact-resnet:34,shortcut=raw,stem=imagenet"]),
        one_of(&["resnet:18", "resnet:56,width=8", "resnet:152,stem=cifar", "wide-resnet:50-2", "resnext:101-64x4d"]),
        one_of(&["wrn:34-r", "wrn:a2", "wrn:28-2.5", "wrn:22-8,shortcut=raw", "wrn:16-1,stem=imagenet"]),
        (1..20usize, 0.05f64..20.0).prop_map(|(n, width)| format!("wrn:depth={},width={width}", 6 * n + 4)),
        (1..9usize, one_of(&["3", "3-1-3", "1-3-1", "3-3", "5-5"]))
            .prop_map(|(n, block)| format!("wrn:blocks={n},width=2,block={block}")),
        (three(), three()).prop_map(|(depths, widths)| format!("wrn:depths={depths},widths={widths}")),
        (three(), three(), 1..99usize).prop_map(|(d, c, stem)| format!("wrn:channels={stem}-{c},depths={d}")),
    ]
}

fn elements() -> impl Strategy<Value = String> {
    let rate =
        |key: &'static str| prop_oneof![Just(String::new()), (0.01f32..0.99).prop_map(move |r| format!("{key}={r}"))];
    let act = one_of(&["", ",act=relu", ",act=silu", ",act=gelu", ",act=softplus", ",act=sparta"]);
    let norm =
        one_of(&["", ",norm=layer", ",norm=group:2", ",norm=instance", ",norm=conv-norm", ",norm=multi-batch:2"]);
    let down = one_of(&["", ",down=max-pool", ",down=avg-pool", ",down=flc", ",down=flc-hamming"]);
    let gate = prop_oneof![rate(",se"), one_of(&[",residual-se=16", ",se=0"])];
    let scale = one_of(&["", ",layer-scale=1e-6", ",layer-scale=none", ",layer-scale=1"]);
    (act, norm, down, gate, rate(",dropout"), rate(",drop-path"), scale)
        .prop_map(|(a, b, c, d, e, f, g)| [a, b, c, d, e, f, g].concat())
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(family in family(), elements in elements()) {
        let spec = NetSpec::parse(&format!("{family}{elements}")).unwrap();
        prop_assert_eq!(NetSpec::parse(&spec.to_string()).unwrap(), spec);
    }
}

/// Every element in every family lowers, on a size that stages do not divide evenly as well.
#[test]
fn elements_go_with_every_family() {
    let families = [
        "preact-resnet:18,width=16",
        "preact-resnet:50,width=16",
        "resnet:18,width=16",
        "wide-resnet:50-2,width=16",
        "wrn:16-1",
        "wrn:blocks=1,width=1,block=3-1-3",
    ];
    for element in [
        "act=silu",
        "act=gelu",
        "act=softplus",
        "act=sparta",
        "norm=layer",
        "norm=group:8",
        "norm=instance",
        "norm=conv-norm",
        "norm=multi-batch:2",
        "down=max-pool",
        "down=avg-pool",
        "down=flc",
        "down=flc-hamming",
        "se=0.25",
        "residual-se=8",
        "dropout=0.3",
        "drop-path=0.2",
        "layer-scale=0.1",
    ] {
        for family in families {
            let form = format!("{family},{element}");
            let plain = load(family).unwrap().layers();
            assert_ne!(load(&form).unwrap_or_else(|why| panic!("{form}: {why}")).layers(), plain, "{form}");
            let odd = NetSpec::parse(&form).unwrap().load(Shape::new(27, 30, 3), 10, &|_| unreachable!());
            odd.unwrap_or_else(|why| panic!("{form} on 27x30: {why}"));
        }
    }
    let why = load("resnext:50-32x4d,norm=conv-norm").unwrap_err().to_string();
    assert!(why.contains("one group, not 32"), "{why}");
}

/// Point-wise activations and downsampling have no parameters: what one network has learned fits the other.
#[test]
fn parameters_keep_their_names() {
    for family in ["preact-resnet:18", "resnet:50", "wrn:28-10"] {
        let plain = params(&load(family).unwrap());
        for element in ["act=silu", "down=flc", "down=avg-pool", "dropout=0.3", "drop-path=0.2"] {
            assert_eq!(params(&load(&format!("{family},{element}")).unwrap()), plain, "{family},{element}");
        }
    }
}

/// Sparta's function is learned in one network and used in another.
#[test]
fn sparta_fits_deeper_networks() {
    let phi = |form: &str| -> Vec<_> {
        params(&load(form).unwrap()).into_iter().filter(|(name, _)| name.contains(".phi.")).collect()
    };
    let (shallow, deep) = (phi("resnet:18,act=sparta"), phi("resnet:34,act=sparta"));
    assert_eq!(shallow.len(), 17 * 4);
    assert!(shallow.iter().all(|of_18| deep.contains(of_18)), "{shallow:?}");
}

/// Grabinski et al. 2022: two poolings a downsampling block, convolutions of stride 1 behind them, and on ImageNet the
/// stem's two.
#[test]
fn spectral_downsampling_leaves_no_stride() {
    for (form, image, pools) in [
        ("preact-resnet:18,down=flc,shortcut=raw", CIFAR, 6),
        ("preact-resnet:50,down=flc,shortcut=raw", CIFAR, 6),
        ("wrn:28-10,down=flc", CIFAR, 4),
        ("resnet:18,down=flc", Shape::new(224, 224, 3), 8),
    ] {
        let (net, ..) = NetSpec::parse(form).unwrap().load(image, 10, &|_| unreachable!()).unwrap();
        let found = net.nodes().filter(|(_, n)| n.op == Op::FlcPool { hamming: false }).count();
        let strided = net.nodes().filter(|(_, n)| match &n.op {
            Op::Conv2d { window, .. } | Op::MaxPool { window } => window.stride != [1, 1],
            _ => false,
        });
        assert_eq!((found, strided.count()), (pools, 0), "{form}");
    }
}

/// ConvNorm stands for convolution and batch-norm everywhere: a depthwise kernel and three numbers a channel more for every
/// convolution, two less for every batch-norm.
#[test]
fn conv_norm_replaces_convolution_and_batch_norm() {
    let (plain, flat) = (load("resnet:18").unwrap(), load("resnet:18,norm=conv-norm").unwrap());
    let mut want = cost(&plain).params.0;
    for (_, node) in plain.nodes() {
        match &node.op {
            Op::Conv2d { out, window, .. } => want += (out * (window.taps() + 3)) as u64,
            Op::BatchNorm { .. } => want -= 2 * node.shape.c as u64,
            _ => {}
        }
    }
    assert_eq!(cost(&flat).params.0, want);
    assert!(flat.nodes().all(|(_, n)| !matches!(&n.op, Op::Conv2d { groups: 1, .. })));
}

#[test]
fn a_file_says_what_a_form_says() {
    for (text, form) in [
        ("family = \"wrn\"\ndepth = 28\nwidth = 10", "wrn:depth=28,width=10"),
        ("family = \"wrn\"\ndepths = [5, 5, 5]\nchannels = [16, 320, 640, 512]", "wrn:34-r"),
        ("width = 2.5\nfamily = 'wrn'\ndepth = 0x10", "wrn:depth=16,width=2.5"),
        ("family = \"resnet\"\nmodel = 50\n[elements]\nact = \"silu\"\nse = 0.25", "resnet:50,act=silu,se=0.25"),
        ("family = \"resnext\"\nmodel = \"50-32x4d\"", "resnext:50-32x4d"),
        (
            "family = \"wrn\"\nmodel = \"16-4\"\n[elements]\ndrop-path = 0.1\nnorm = \"group:8\"",
            "wrn:16-4,norm=group:8,drop-path=0.1",
        ),
    ] {
        assert_eq!(load_file(text).unwrap().layers(), load(form).unwrap().layers(), "{text}");
    }
    let genotypes = concat!(env!("CARGO_MANIFEST_DIR"), "/search_spaces/genotypes");
    let text = format!("family = \"darts\"\ngenotype = \"{genotypes}/DARTS_V2.txt\"\nchannels = 16\nlayers = 8");
    assert_eq!(cost(&load_file(&text).unwrap()).params.0, 246_106);
}

#[test]
fn a_bad_file_is_answered_with_its_line() {
    for (text, line, words) in [
        ("", 1, "`family` is missing"),
        ("family = \"wrn\"\ndepth = ", 2, ""),
        ("\nfamily = \"wnr\"", 2, "did you mean `wrn`"),
        ("family = 3", 1, "expected a family's word"),
        ("family = \"wrn\"\nwidth = 4\ndepth = 27", 3, "6 n + 4, not 27"),
        ("family = \"wrn\"\ndepht = 28\nwidth = 4", 2, "did you mean `depth`"),
        ("family = \"wrn\"\nwidth = 4", 1, "`depth=NUMBER` is missing"),
        ("family = \"wrn\"\n\nact = \"silu\"", 3, "under [elements]"),
        ("family = \"wrn\"\nmodel = \"16-4\"\n[elements]\nact = \"sulu\"", 4, "did you mean `silu`"),
        ("family = \"wrn\"\nmodel = \"16-4\"\n[elements]\ndepth = 16", 4, "unknown key `depth` in [elements]"),
        ("family = \"wrn\"\nmodel = \"16-4\"\nwidth = 4", 3, "does not go with"),
        ("family = \"wrn\"\ndepths = [4, \"4\", 4]", 2, "expected a value such as"),
        ("elements = 3\nfamily = \"wrn\"", 1, "expected a table"),
    ] {
        match load_file(text) {
            Err(Error::Config { path, line: found, message }) => {
                assert_eq!((path.as_path(), found), (Path::new("some/net.toml"), line), "{text}: {message}");
                assert!(message.contains(words), "{text}: {message}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn the_example_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("search_spaces/networks");
    for entry in std::fs::read_dir(folder).unwrap() {
        let spec = NetSpec::parse(entry.unwrap().path().to_str().unwrap()).unwrap();
        let read = |path: &Path| std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source });
        spec.load(CIFAR, 10, &read).unwrap();
    }
}

/// Names that torchvision, timm and papers have are answered with the form that is meant.
#[test]
fn names_of_other_libraries_are_answered_with_ours() {
    for (name, form) in [
        ("resnet18", "resnet:18"),
        ("ResNet50", "resnet:50"),
        ("wide_resnet50_2", "wide-resnet:50-2"),
        ("preactresnet18", "preact-resnet:18"),
        ("resnext50_32x4d", "resnext:50-32x4d"),
        ("convnext_tiny", "convnext:tiny"),
        ("wrn-28-10", "wrn:28-10"),
    ] {
        let why = NetSpec::parse(name).unwrap_err().to_string();
        assert!(why.contains(&format!("did you mean `{form}`?")), "{name}: {why}");
    }
    for path in ["a/Net.TOML", "a/arch.JSON"] {
        assert!(NetSpec::parse(path).is_ok(), "{path}");
    }
}
