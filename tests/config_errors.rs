//! Every mistake in a space file is answered with its line, what was expected and, for names, the nearest one.

use std::path::Path;

use robustnas::config::{Config, Setting};
use robustnas::error::Error;

const GOOD: &str = include_str!("fixtures/space.toml");

/// Edges of its own for the first cell.
fn with_edges(edges: &str) -> String {
    let first = GOOD.find("concat = [2, 3, 4, 5]\n").unwrap() + "concat = [2, 3, 4, 5]\n".len();
    format!("{}\n[cells.edges] # here\n{edges}\n{}", &GOOD[..first], &GOOD[first..])
}

fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

fn read(text: &str, sets: &[(&str, &str)]) -> Result<Config, Error> {
    let sets: Vec<_> = sets.iter().map(|(k, v)| Setting::new(k, v)).collect();
    Config::from_toml(text, Path::new("space.toml"), &sets)
}

/// The error stands on the first line that contains `at`, and says all of `words`.
fn refused(text: &str, at: &str, words: &[&str]) {
    let error = read(text, &[]).expect_err(at);
    let line = text.lines().position(|l| l.contains(at)).unwrap_or_else(|| panic!("{at}")) + 1;
    let said = error.to_string();
    assert!(said.starts_with(&format!("space.toml:{line}: ")), "line {line} expected: {said}");
    assert_eq!(error.exit_code(), 3);
    for word in words {
        assert!(said.contains(word), "`{word}` expected: {said}");
    }
}

/// The same with one replacement, on the line of the replacement.
fn refuses(from: &str, to: &str, words: &[&str]) {
    refused(&changed(from, to), to.trim_start_matches('\n').lines().next().unwrap(), words);
}

#[test]
fn the_good_file_is_good() {
    read(GOOD, &[]).unwrap();
    read(&with_edges("\"0->3\" = [\"skip_connect\"]\n\"1->3\" = []"), &[]).unwrap();
}

#[test]
fn syntax() {
    refuses("epochs = 3\n", "epochs = \n", &[]);
    refused(&changed("seed = 2\n", "seed = 2\nseed = 3 # again\n"), "# again", &["duplicate key"]);
}

#[test]
fn unknown_keys() {
    refuses("layers = 5", "layer = 5", &["unknown key `layer` in [supernet]", "did you mean `layers`?"]);
    refuses("seed = 2", "sede = 2", &["unknown key `sede` in the top of the file", "`seed`"]);
    refuses("[search.attack]", "[search.atack]", &["unknown key `atack` in [search]", "`attack`"]);
    refuses("noise = \"2\"", "noice = \"2\"", &["unknown key `noice` in [retrain.method]", "`noise`"]);
    refuses("stem_multiplier = 3", "stem_mult = 3", &["did you mean `stem_multiplier`?"]);
    refuses("nodes = 4", "node = 4", &["unknown key `node` in [cells.0]", "`nodes`"]);
}

#[test]
fn an_unknown_key_of_an_attack_has_its_own_line() {
    let text = changed("attack = \"fgsm\"\n", "attack = \"fgsm\"\nsteps = 3 # of FGSM\n");
    refused(&text, "steps = 3 # of FGSM", &["unknown key `steps` in [evaluate.attacks.0]"]);
}

#[test]
fn every_training_method_is_read() {
    let methods = [
        "name = \"standard\"",
        "name = \"pgd_at\"\neps = \"8/255\"\nstep = \"2/255\"\nsteps = 10\nattack_norm = \"eval\"",
        "name = \"trades\"\neps = \"8/255\"\nstep = \"2/255\"\nsteps = 10\nbeta = 6.0",
    ];
    let n_fgsm = "name = \"n_fgsm\"\neps = \"8/255\"\nnoise = \"2\"";
    for method in methods {
        let config = read(&changed(n_fgsm, method), &[]).unwrap();
        assert_eq!(read(&config.to_toml().unwrap(), &[]).unwrap(), config, "{method}");
    }
    let trades = changed(n_fgsm, methods[2]);
    refused(&trades.replace("beta = 6.0", "beta = 0.0"), "beta = 0.0", &["`retrain.method.beta` must be above 0"]);
    refused(&trades.replace("steps = 10\nbeta", "steps = 0\nbeta"), "steps = 0", &["`retrain.method.steps`"]);
    refused(&trades.replace("beta = 6.0", ""), "[retrain.method]", &["`beta` is missing from [retrain.method]"]);
}

#[test]
fn missing_keys() {
    refused(&changed("layers = 5", ""), "[supernet]", &["the key `layers` is missing from [supernet]"]);
    refused(&changed("noise = \"2\"", ""), "[retrain.method]", &["`noise` is missing from [retrain.method]"]);
    refused(&changed("seed = 2", ""), "# A space", &["`seed` is missing from the top of the file"]);
}

#[test]
fn wrong_types() {
    refuses("channels = 4\n", "channels = \"4\"\n", &["`supernet.channels`: expected a whole number, got string"]);
    refuses("channels = 4\n", "channels = -4\n", &["`supernet.channels`: expected a whole number, got integer `-4`"]);
    refuses("flip = false", "flip = 0", &["`split.flip`: expected true or false"]);
    refuses("lambda = 0.1 ", "lambda = true", &["`search.lambda`: expected a number"]);
    refuses("order = \"first\"", "order = \"third\"", &["unknown value `third`", "first"]);
    refuses("name = \"n_fgsm\"", "name = \"n_fgms\"", &["`retrain.method.name`", "did you mean `n_fgsm`?"]);
    refuses("budgets = [\"1M\",", "budgets = [\"1X\",", &["`1X` is not a count", "such as 20M"]);
}

#[test]
fn fractions() {
    for bad in ["8/0", "8\\\\255", "-8/255", "eight"] {
        refuses("eps = \"8/255\"\nstep", &format!("eps = \"{bad}\" #\nstep"), &["`search.attack.eps`", "8/255"]);
    }
    refuses("step = \"4/255\"", "step = \"0\"", &["`search.attack.step` must be above 0"]);
    refuses("step = \"4/255\"", "step = \"4\"", &["at most 1"]);
    // Inside a table whose type depends on its name.
    refused(
        &changed("eps = \"8/255\"\nnoise", "eps = \"8/\" # bad\nnoise"),
        "# bad",
        &["`retrain.method.eps`", "`8/` is not a non-negative fraction"],
    );
}

#[test]
fn operations() {
    let typo = changed("\"sep_conv_3x3\", \"sep_conv_5x5\"", "\n\"sep_conv_3x4\", \"sep_conv_5x5\"");
    refused(
        &typo,
        "sep_conv_3x4",
        &["`cells.0.ops.3`", "unknown operation `sep_conv_3x4`; did you mean `sep_conv_3x3`?"],
    );
    let twice = changed("\"sep_conv_3x3\", \"sep_conv_5x5\"", "\"sep_conv_3x3\",\n\"sep_conv_3x3\"");
    let line = twice.lines().position(|l| l.starts_with("\"sep_conv_3x3\"")).unwrap() + 1;
    assert!(read(&twice, &[]).unwrap_err().to_string().starts_with(&format!("space.toml:{line}: operation")));
    let all = "ops = [\"max_pool_3x3\", \"avg_pool_3x3\", \"skip_connect\", \"sep_conv_3x3\", \"sep_conv_5x5\", \
               \"dil_conv_3x3\", \"dil_conv_5x5\"]";
    refuses(all, "ops = []", &["has no operations"]);
}

#[test]
fn edges() {
    for (edge, words) in [
        ("3->2", &["edge `3->2` closes a cycle", "smaller number"][..]),
        ("2->2", &["edge `2->2` closes a cycle"]),
        ("0->9", &["ends at state 9, which does not exist", "states 0 to 5"]),
        ("9->3", &["starts at state 9, which does not exist"]),
        ("0->1", &["ends at state 1, an input of the cell"]),
        ("0-3", &["`0-3` is not an edge", "source->target"]),
        ("a->3", &["`a->3` is not an edge"]),
    ] {
        let line = format!("\"{edge}\" = [\"skip_connect\"]");
        refused(&with_edges(&format!("\"0->2\" = [\"skip_connect\"]\n{line}")), &line, words);
    }
    refused(
        &with_edges("\"0->2\" = [\"skip_conect\"]"),
        "\"0->2\" = [\"skip_conect\"]",
        &["did you mean `skip_connect`?"],
    );
}

#[test]
fn unconnected_nodes() {
    let text = with_edges("\"0->2\" = []\n\"1->2\" = [\"none\"]");
    refused(&text, "# here", &["node 2 of the `accurate` cell has no incoming edge"]);
    let dangling = changed("concat = [2, 3, 4, 5]", "concat = [2, 3, 4]");
    refused(&dangling, "concat = [2, 3, 4]", &["node 5 of the `accurate` cell is dangling"]);
}

#[test]
fn outputs() {
    refuses("concat = [2, 3, 4, 5]", "concat = []", &["`concat` of the `accurate` cell is empty"]);
    refuses("concat = [2, 3, 4, 5]", "concat = [2, 3, 4, 6]", &["state 6, which does not exist", "states 0 to 5"]);
    refuses("concat = [2, 3, 4, 5]", "concat = [2, 3, 4, 5, 5]", &["state `5` is listed twice"]);
    let reduce = GOOD.find("kind = \"reduce\"").unwrap();
    let tail = GOOD[reduce..].replacen("concat = [2, 3, 4, 5]", "concat = [1, 2, 3, 4, 5]", 1);
    refused(&format!("{}{tail}", &GOOD[..reduce]), "concat = [1,", &["a reduction takes state 1, an input"]);
}

#[test]
fn placement() {
    refuses("widths = [1, 2, 2]", "widths = [1, 2]", &["`placement.widths` has 2 entries for 3 stages"]);
    refuses("widths = [1, 2, 2]", "widths = [1, 0, 2]", &["must be at least 1"]);
    refuses(
        "reduction = \"reduce\"",
        "reduction = \"reduction\"",
        &["no [[cells]] entry describes the kind `reduction`"],
    );
    let text = changed("\"accurate\", \"accurate\", \"robust\"]", "\"accurate\", \"accurate\", \"accurate\"]");
    refused(&text, "kind = \"robust\"", &["no stage of [placement] uses cells of kind `robust`"]);
}

#[test]
fn kinds_without_a_cell() {
    let text = changed("\"accurate\", \"accurate\", \"robust\"]", "\"accurate\", \"acurate\", \"robust\"]");
    refused(&text, "acurate", &["no [[cells]] entry describes the kind `acurate`", "did you mean `accurate`?"]);
    let text = changed("kind = \"robust\"", "kind = \"reduce\" # twice");
    refused(&text, "# twice", &["two [[cells]] entries describe `reduce`"]);
    let text = changed("\"accurate\", \"accurate\", \"robust\"]", "\"accurate\", \"robust\"]");
    refused(&text, "stages = [", &["has 2 entries", "3 stages"]);
}

#[test]
fn sizes() {
    refuses("channels = 4\n", "channels = 0\n", &["`supernet.channels` must be at least 1, got 0"]);
    refuses("layers = 5 ", "layers = 0 ", &["`supernet.layers` must be from 1"]);
    refuses("layers = 5 ", "layers = 3 ", &["3 layers are too few for 3 stages", "at least 4"]);
    let odd = changed("widths = [1, 2, 2]", "widths = [2, 1, 2]").replace("channels = 4\n", "channels = 5\n");
    refused(&odd, "channels = 5", &["5 channels, an odd number", "factorised reduction"]);
    let partial = changed("layers = 5 ", "layers = 5\npartial = 3 ");
    refused(&partial, "partial = 3", &["one channel in 3", "must be a multiple of 9; `supernet.channels` is 4"]);
    refuses("validation = 200", "validation = 0", &["must be at least 1"]);
    refuses("validation = 200", "validation = 1200", &["leave none to train on"]);
    refuses("weights_share = 0.5", "weights_share = 1.0", &["strictly between 0 and 1, got 1"]);
}

#[test]
fn search() {
    refuses("epochs = 3\nstage", "epochs = 0 #\nstage", &["`search.epochs` must be at least 1"]);
    refuses("stage_one_epochs = 1", "stage_one_epochs = 4", &["is 4, more than the 3 epochs"]);
    refuses("warmup_epochs = 0", "warmup_epochs = 4", &["more than the 3 epochs"]);
    refuses("batch = 64\norder", "batch = 0 #\norder", &["`search.batch` must be at least 1"]);
    refuses("lambda = 0.1 ", "lambda = 0 ", &["`search.lambda` must be above 0"]);
    refuses("lr = 0.025", "lr = nan", &["`search.weights.lr` must be above 0"]);
    refuses("lr_min = 0.001", "lr_min = 0.1", &["at most `lr`"]);
    refuses("momentum = 0.9", "momentum = 1.0", &["below 1"]);
    refuses("restarts = 1", "restarts = 0", &["`search.attack.restarts` must be at least 1"]);
    refused(
        &changed("restarts = 1\nrandom_start = true", "restarts = 2\nrandom_start = false"),
        "restarts = 2",
        &["2 restarts from the clean image"],
    );
}

#[test]
fn candidates() {
    refuses("genotypes = 1", "genotypes = 0", &["`derive.genotypes` must be at least 1"]);
    refuses("edges_per_node = 2", "edges_per_node = 0", &["must be at least 1"]);
    refuses("depth_share = [0.6, 0.92]", "depth_share = [0.6, 1.0]", &["strictly between 0 and 1"]);
    refuses("depth_share = [0.6, 0.92]", "depth_share = [0.0, 0.9]", &["strictly between 0 and 1"]);
    refuses("depth_share = [0.6, 0.92]", "depth_share = [0.8, 0.6]", &["reversed: [0.8, 0.6]"]);
    refuses("depth_share = [0.6, 0.92]", "depth_share = [0.8]", &["scaling.depth_share"]);
    refuses("tolerance = 0.05", "tolerance = 0.0", &["`scaling.tolerance` must be between 0 and 1, got 0"]);
    refuses("tolerance = 0.05", "tolerance = -0.1", &["got -0.1"]);
    refuses("channel_multiple = 2", "channel_multiple = 3", &["must be even", "got 3"]);
    refuses("max_cells = 8", "max_cells = 4", &["from 5"]);
    refuses("per_budget = 1", "per_budget = 0", &["must be at least 1"]);
    refuses("epochs = 3\nbatch", "epochs = 0 #\nbatch", &["`retrain.epochs` must be at least 1"]);
    refuses("budgets = [\"1M\", \"2M\", \"4M\"]", "budgets = []", &["`budgets` is empty"]);
    refuses("budgets = [\"1M\",", "budgets = [\"0M\",", &["`0M` is not a count"]);
    refuses("budgets = [\"1M\",", "budgets = [0,", &["contains 0"]);
    refuses("budgets = [\"1M\",", "budgets = [\"2M\",", &["2.00M twice"]);
}

#[test]
fn attacks() {
    let none = GOOD[..GOOD.find("[[evaluate.attacks]]").unwrap()].replace("batch = 128", "batch = 128\nattacks = []");
    refused(&none, "attacks = []", &["at least one attack"]);
    let twice = format!("{GOOD}\n[[evaluate.attacks]] # again\nattack = \"fgsm\"\neps = \"8/255\"\n");
    refused(&twice, "# again", &["`FGSM linf 8/255` is listed twice"]);
    refuses("attack = \"fgsm\"", "attack = \"fsgm\"", &["`evaluate.attacks.0.attack`", "did you mean `fgsm`?"]);
}

/// The good file with another list of attacks.
fn attacked(lines: &str) -> String {
    GOOD[..GOOD.find("[[evaluate.attacks]]").unwrap()].to_owned() + lines + "\n"
}

/// What `robustnas attack --plan` takes, alone or in a list, beside attacks with all their constants.
#[test]
fn attacks_by_name_and_from_files() {
    let file = "name = \"two\"\neps = \"4/255\"\nattacks = [\"cw-40\", \"apgd-dlr\"]";
    let found = |lines: &str, sets: &[(&str, &str)]| {
        let sets: Vec<_> = sets.iter().map(|(k, v)| Setting::new(k, v)).collect();
        let files = |path: &Path| match path.to_str() {
            Some("plans/two.toml") => Ok(file.to_owned()),
            _ => Err(Error::Usage(format!("{} is not there", path.display()))),
        };
        let config = Config::resolve(&attacked(lines), Path::new("space.toml"), &sets, &files)?;
        assert_eq!(read(&config.to_toml().unwrap(), &[]).unwrap(), config, "written out and read back");
        Ok::<_, Error>(config.evaluate)
    };
    let names = |lines: &str| found(lines, &[]).unwrap().attacks.iter().map(|a| a.name()).collect::<Vec<_>>();
    let suite = ["apgd-ce", "apgd-t", "fab-t", "square"];
    assert_eq!(names("attacks = \"autoattack\""), suite);
    assert_eq!(names("attacks = [\"fgsm\", \"autoattack\"]"), [&["fgsm"], &suite[..]].concat());
    assert_eq!(
        names("attacks = [\"plans/two.toml\", { attack = \"fgsm\", eps = \"8/255\" }]"),
        ["cw-40", "apgd-dlr", "fgsm"]
    );
    let ball =
        |lines: &str| found(lines, &[]).unwrap().attacks[0].ball().map(|(norm, eps)| format!("{norm} {eps}")).unwrap();
    assert_eq!(ball("attacks = \"pgd-20\""), "linf 8/255");
    assert_eq!(ball("eps = \"2/255\"\nattacks = \"pgd-20\""), "linf 2/255");
    assert_eq!(ball("norm = \"l1\"\neps = \"12\"\nattacks = \"autoattack\""), "l1 12");
    assert_eq!(ball("eps = \"2/255\"\nattacks = \"plans/two.toml\""), "linf 4/255");
    let samples = |lines: &str| found(lines, &[]).unwrap().gradient_samples;
    assert_eq!(samples("attacks = \"rand\""), 20);
    assert_eq!(samples("gradient_samples = 5\nattacks = [\"rand\", \"square\"]"), 5);
    assert_eq!(found("attacks = []", &[("evaluate.attacks", "apgd-only")]).unwrap().attacks.len(), 2);
    assert!(found("probe = true\nattacks = \"fgsm\"", &[]).unwrap().probe);

    let mistake = attacked("attacks = [\n    \"fgsm\",\n    \"apgd-ec\",\n]");
    refused(&mistake, "\"apgd-ec\"", &["no attack or plan is called `apgd-ec`", "did you mean `apgd-ce`?"]);
    for (lines, at, words) in [
        ("attacks = \"autoatack\"", "attacks = \"auto", &["did you mean `autoattack`?"][..]),
        ("attacks = 3", "attacks = 3", &["`evaluate.attacks`: expected a list of attacks"]),
        ("attacks = [3]", "attacks = [3]", &["expected the name of an attack"]),
        ("attacks = [\"pgd-0\"]", "pgd-0", &["number of steps"]),
        ("norm = \"l2\"\nattacks = \"pgd-20\"", "attacks = \"pgd", &["`evaluate.eps` is missing"]),
        ("attacks = [\"apgd-ce\",\n\"autoattack\"]", "\"autoattack\"]", &["APGD-100 ce", "listed twice"]),
        ("attacks = [\"rand\",\n\"square\"]", "\"square\"]", &["gradient_samples = 20"]),
        ("gradient_samples = 0\nattacks = \"fgsm\"", "gradient_samples", &["must be from 1 to 1000000"]),
        ("attacks = \"plans/one.toml\"", "plans/one", &["cannot be read"]),
        ("atacks = \"fgsm\"", "atacks", &["unknown key `atacks` in [evaluate]", "`attacks`"]),
    ] {
        refused(&attacked(lines), at, words);
    }
    let unreadable = found("attacks = \"plans/one.toml\"", &[]).unwrap_err().to_string();
    assert!(unreadable.contains("plans/one.toml is not there"), "{unreadable}");
}

#[test]
fn overrides() {
    let config = read(
        GOOD,
        &[
            ("search.epochs", "7"),
            ("data", "cifar10:elsewhere"),
            ("budgets", "[\"3M\"]"),
            ("cells.robust.ops", "[\"skip_connect\", \"dil_conv_5x5\"]"),
            ("cells.0.edges.0->3", "[\"skip_connect\"]"),
            ("evaluate.attacks.1.steps", "50"),
            ("search.epochs", "9"),
            ("seed", "18446744073709551615"),
            ("normalize", "{ mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }"),
        ],
    )
    .unwrap();
    assert_eq!((config.search.epochs, config.data.as_str()), (9, "cifar10:elsewhere"));
    assert_eq!((config.budgets.len(), config.cells[2].ops.len(), config.cells[0].edges.len()), (1, 2, 1));
    assert_eq!(config.evaluate.attacks[1].name(), "pgd-50");
    assert!(config.normalize.is_some());
    assert_eq!(config.seed, u64::MAX);
    assert_eq!(read(&config.to_toml().unwrap(), &[]).unwrap(), config);
}

#[test]
fn bad_overrides_are_usage_errors() {
    for (key, value, words) in [
        ("search.epoch", "7", &["unknown key `epoch` in [search]", "did you mean `epochs`?"][..]),
        ("serach.epochs", "7", &["unknown key `serach`", "did you mean `search`?"]),
        ("search..epochs", "7", &["a.b.c"]),
        ("seed.x", "7", &["nothing to set below"]),
        ("cells.robus.nodes", "7", &["no element is called `robus`", "did you mean `robust`?"]),
        ("evaluate.attacks.5.eps", "7", &["not an index below 2"]),
        ("search.epochs", "many", &["`search.epochs`: expected a whole number"]),
        ("supernet.channels", "0", &["`supernet.channels` must be at least 1"]),
        ("retrain.method.eps", "8/0", &["`8/0` is not a non-negative fraction"]),
        ("cells.0.edges.3->2", "[]", &["closes a cycle"]),
    ] {
        let error = read(GOOD, &[("name", "fine"), (key, value)]).unwrap_err();
        let said = error.to_string();
        assert_eq!(error.exit_code(), 2, "{said}");
        assert!(said.starts_with(&format!("--set {key}={value}: ")), "{said}");
        assert!(words.iter().all(|w| said.contains(w)), "{said}");
    }
}

/// A preset of the command line takes the place of the short keys of a method, which are the file's.
#[test]
fn a_method_is_set_by_its_name() {
    let file = read(GOOD, &[]).unwrap().retrain;
    for key in ["retrain.method", "retrain.preset", "method"] {
        let recipe = read(GOOD, &[(key, "trades")]).unwrap().retrain;
        assert_eq!((recipe.name.as_str(), recipe.epochs, recipe.batch), ("trades", file.epochs, file.batch), "{key}");
        assert_eq!(recipe.objective.divergence, 6.0);
    }
    let recipe = read(GOOD, &[("retrain.method", "trades"), ("retrain.objective.divergence", "4.0")]).unwrap().retrain;
    assert_eq!(recipe.objective.divergence, 4.0);
    let unknown = read(GOOD, &[("retrain.method", "tradez")]).unwrap_err().to_string();
    assert!(unknown.starts_with("--set retrain.method=tradez: ") && unknown.contains("`trades`"), "{unknown}");
    // Keys of both kinds that were asked for are refused as those of a file are.
    let both = read(GOOD, &[("retrain.method", "trades"), ("retrain.sgd.lr", "0.1")]).unwrap_err().to_string();
    assert!(both.contains("`retrain.sgd` stands beside `retrain.preset`"), "{both}");
    let both = read(GOOD, &[("retrain.preset", "trades"), ("retrain.method.eps", "4/255")]).unwrap_err().to_string();
    assert!(both.contains("`retrain.preset` stands beside the short keys"), "{both}");
}

/// An option of its own is checked like a key of the file, and named as it was given.
#[test]
fn options_are_named_in_errors() {
    let option = "--budgets 2M,2M".to_owned();
    let twice = Setting { key: "budgets".into(), value: "[2000000, 2000000]".into(), option };
    let said = Config::from_toml(GOOD, Path::new("space.toml"), &[twice]).unwrap_err();
    assert_eq!((said.exit_code(), said.to_string().as_str()), (2, "--budgets 2M,2M: `budgets` contains 2.00M twice"));
}

#[test]
fn differences_name_keys_and_values() {
    let old = read(GOOD, &[]).unwrap();
    let sets = [("search.epochs", "9"), ("cells.robust.nodes", "4"), ("cells.reduce.ops", "[\"skip_connect\"]")];
    let new = read(GOOD, &sets).unwrap();
    assert_eq!(old.differences(&old), Vec::<String>::new());
    let differences = old.differences(&new);
    assert_eq!(differences.len(), 2, "{differences:?}");
    assert!(differences[0].starts_with("cells.reduce.ops: [\"max_pool_3x3\""), "{differences:?}");
    assert!(differences[0].ends_with("-> [\"skip_connect\"]"), "{differences:?}");
    assert_eq!(differences[1], "search.epochs: 3 -> 9");
}
