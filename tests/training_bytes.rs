//! The first training methods give the same numbers from version to version: ten steps of each on the portable
//! instructions, whose results are those of any machine.

use std::path::Path;

use candle_core::Device;
use robustnas::config::{Config, Setting};
use robustnas::data::batch::Augment;
use robustnas::data::loader::Loader;
use robustnas::data::synthetic;
use robustnas::engine::{Cpu, Isa, Network};
use robustnas::model;
use robustnas::recipe::Recipe;
use robustnas::seed::Seed;
use robustnas::train::fit::{Position, fit};
use robustnas::train::trainee::Trainee;

const SPACE: &str = include_str!("fixtures/space.toml");

/// The recipe of a space file with the short keys.
fn recipe(method: &str) -> Recipe {
    let keys = [
        ("retrain.method", method),
        ("retrain.epochs", "3"),
        ("retrain.batch", "16"),
        ("retrain.sgd", "{ lr = 0.1, lr_min = 0.01, momentum = 0.9, weight_decay = 5e-4, clip = 5.0 }"),
    ];
    let keys = keys.map(|(key, value)| Setting::new(key, value));
    Config::from_toml(SPACE, Path::new("space.toml"), &keys).unwrap().retrain
}

/// Methods with the losses of the first ten steps, written down before methods became recipes.
const BEFORE: [(&str, [f64; 10]); 5] = [
    (
        "{ name = \"standard\" }",
        [
            2.387688703650284,
            2.349490866687826,
            2.2225349033044597,
            2.413871926240775,
            2.3086694611097505,
            2.2116842229975573,
            2.347485094335992,
            2.358329964452386,
            2.1608189560653397,
            2.1649544602268893,
        ],
    ),
    (
        "{ name = \"pgd_at\", eps = \"8/255\", step = \"2/255\", steps = 3, attack_norm = \"eval\" }",
        [
            2.3963955677318554,
            2.362735739562659,
            2.230020829073234,
            2.4477488438366657,
            2.3055859867668613,
            2.2307154707984114,
            2.2874795694456806,
            2.2916492997560876,
            2.179062039561039,
            2.181748437207031,
        ],
    ),
    (
        "{ name = \"pgd_at\", eps = \"8/255\", step = \"2/255\", steps = 3, attack_norm = \"batch\" }",
        [
            2.6119966540764405,
            2.5252322328960606,
            2.41502196727336,
            2.474903507021764,
            2.385163785072482,
            2.290548611941407,
            2.3570321335620155,
            2.3803002735884715,
            2.2660706834548723,
            2.348034743028702,
        ],
    ),
    (
        "{ name = \"n_fgsm\", eps = \"8/255\", noise = \"2\" }",
        [
            2.564220679845871,
            2.5034179635231393,
            2.424425987838608,
            2.5272155733472923,
            2.452577551998907,
            2.301243237894718,
            2.3811294528301734,
            2.4084407410169386,
            2.330153005300405,
            2.28678604908083,
        ],
    ),
    (
        "{ name = \"trades\", eps = \"8/255\", step = \"2/255\", steps = 3, beta = 6.0 }",
        [
            2.3969530980802425,
            2.3513083321786,
            2.222531067903394,
            2.4416635554228483,
            2.3206385745533673,
            2.1583884024487654,
            2.3043475076155313,
            2.2034659907593115,
            2.2163139392077635,
            2.2293304807116496,
        ],
    ),
];

#[test]
fn ten_steps_of_each_method() {
    let (data, device) = (synthetic::generate(64, 8), Device::Cpu);
    let ids = data.train.ids();
    for (method, before) in BEFORE {
        let net = model::named("wrn:channels=4-4-8-16,depths=1-1-1", data.image, data.classes.len()).unwrap();
        let network = Network::new(net, Seed::root(3), &device).unwrap().run_by(Cpu::on(Isa::available()[0]));
        let recipe = recipe(method);
        let (batch, epochs) = (recipe.batch, recipe.epochs);
        let mut trainee = Trainee::new(network, recipe, Seed::root(5)).unwrap();
        let (augment, seed) = (Augment { crop_pad: 2, flip: true }, Seed::root(4));
        let shown = Loader::new(&data.train, data.image, &ids, batch, seed, &device).augmented(augment);
        let mut losses = Vec::new();
        fit(&mut trainee, &shown, epochs, Position::default(), &mut |_, _, loss| {
            losses.push(loss);
            Ok(())
        })
        .unwrap();
        let near = losses.iter().zip(before).all(|(now, before)| (now - before).abs() < 1e-12);
        assert!(near && losses.len() > before.len(), "{method}: {losses:?}\nbefore: {before:?}");
    }
}
