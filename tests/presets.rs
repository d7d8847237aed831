//! Every preset trains: more than ten steps of each, and as many with a stop in between that ends with the same bytes.

use candle_core::{Device, Tensor};
use robustnas::arch::op::Shape;
use robustnas::data::Images;
use robustnas::data::batch::Augment;
use robustnas::data::loader::Loader;
use robustnas::engine::Network;
use robustnas::error::{Error, Result};
use robustnas::model;
use robustnas::recipe::{Adversary, Average, AveragedStatistics, Awp, PRESETS, Ramp, Recipe, Shape as Course, preset};
use robustnas::seed::Seed;
use robustnas::train::fit::{Learner, Position, State, fit};
use robustnas::train::trainee::{Trainee, fitted};

const IMAGE: Shape = Shape::new(8, 8, 3);
const EPOCHS: u32 = 3;
/// Steps of an epoch.
const STEPS: usize = 5;
/// Where the stop is: within the second epoch.
const STOP: Position = Position { epoch: 1, step: 2 };

fn images() -> Images {
    let mut stream = Seed::root(1).stream();
    let pixels = (0..8 * STEPS * IMAGE.len()).map(|_| stream.below(256) as u8).collect();
    Images { pixels, labels: (0..8 * STEPS as u32).map(|i| i % 4).collect() }
}

/// A recipe at the size of a test, with everything that it has at work within its three epochs.
fn small(mut recipe: Recipe) -> Recipe {
    (recipe.epochs, recipe.batch) = (EPOCHS, 8);
    recipe.schedule.lr = recipe.schedule.lr.min(0.05);
    recipe.schedule.warmup = recipe.schedule.warmup.min(1.0);
    if let Course::Cosine { lr_min } = &mut recipe.schedule.shape {
        *lr_min = lr_min.min(1e-5);
    }
    if let Some(awp) = &mut recipe.awp {
        awp.from = awp.from.min(1);
    }
    if let Some(ramp) = &mut recipe.ramp {
        ramp.epochs = ramp.epochs.min(2.0);
    }
    match &mut recipe.adversary {
        Adversary::Pgd(attack) => attack.steps = attack.steps.min(2),
        Adversary::Fosc(attack) => attack.steps = 3,
        // Decides at the third of five batches.
        Adversary::FrankWolfe(attack) => attack.monitor = 24,
        Adversary::Free(attack) => attack.replays = 2,
        Adversary::Pyramid(attack) => attack.steps = 2,
        Adversary::None | Adversary::SingleStep(_) => {}
    }
    recipe
}

fn trainee(recipe: &Recipe, seed: u64) -> Trainee {
    let norm = match (recipe.branch, &recipe.selection) {
        (0, None) => "",
        (0, Some(_)) => ",norm=multi-batch:3",
        _ => ",norm=multi-batch:2",
    };
    let net = model::named(&format!("wrn:channels=4-4-8-8,depths=1-1-1{norm}"), IMAGE, 4).unwrap();
    let net = fitted(&net, recipe).unwrap();
    let seed = Seed::root(seed);
    Trainee::new(Network::new(net, seed, &Device::Cpu).unwrap(), recipe.clone(), seed).unwrap()
}

/// Trains from a position to the end, or to a stop; returns the losses.
fn train(trainee: &mut Trainee, from: Position, stop: Option<Position>) -> Vec<f64> {
    let (images, device) = (images(), Device::Cpu);
    let ids = images.ids();
    let loader =
        Loader::new(&images, IMAGE, &ids, 8, Seed::root(5), &device).augmented(Augment { crop_pad: 1, flip: true });
    assert_eq!(loader.steps(), STEPS);
    let mut losses = Vec::new();
    let end = fit(trainee, &loader, EPOCHS, from, &mut |trainee: &mut Trainee, at, loss| {
        losses.push(loss);
        if at.step == 0 {
            trainee.end_epoch();
        }
        if stop == Some(at) { Err(Error::Stopped { signal: "a test" }) } else { Ok(()) }
    });
    assert_eq!(end.is_err(), stop.is_some());
    losses
}

/// A state as a file would keep it.
fn kept(state: State) -> State {
    let tensors = state.tensors.iter().map(|(name, t)| (name.clone(), t.copy().unwrap())).collect();
    State { values: serde_json::from_str(&state.values.to_string()).unwrap(), tensors }
}

fn bits(state: &State) -> Vec<(String, Vec<u32>)> {
    let of = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|v| v.to_bits()).collect();
    state.tensors.iter().map(|(name, t)| (name.clone(), of(t))).collect()
}

fn stops_and_goes_on(recipe: Recipe) {
    let recipe = small(recipe);
    let mut whole = trainee(&recipe, 2);
    let losses = train(&mut whole, Position::default(), None);
    assert_eq!(losses.len(), EPOCHS as usize * STEPS);
    assert!(losses.iter().all(|loss| loss.is_finite()), "{}: {losses:?}", recipe.name);

    let mut first = trainee(&recipe, 2);
    let mut both = train(&mut first, Position::default(), Some(STOP));
    let state = kept(first.state().unwrap());
    drop(first);
    // Fresh weights of another seed, all of which have to be replaced.
    let mut second = trainee(&recipe, 3);
    second.restore(state).unwrap();
    both.extend(train(&mut second, STOP, None));
    assert_eq!(both, losses, "{}", recipe.name);
    let (whole_state, second_state) = (whole.state().unwrap(), second.state().unwrap());
    assert_eq!(whole_state.values, second_state.values, "{}", recipe.name);
    assert!(bits(&whole_state) == bits(&second_state), "{}: other numbers", recipe.name);
    let answers = |trainee: Trainee| trainee.into_network().unwrap().state().to_vec1::<f32>().unwrap();
    assert!(answers(whole) == answers(second), "{}: another network is kept", recipe.name);
}

#[test]
fn every_preset_stops_and_goes_on() {
    for row in PRESETS {
        stops_and_goes_on((row.recipe)());
    }
}

/// Parts around methods that no preset has them around.
#[test]
fn parts_combine() {
    let of = |word: &str| preset(word).unwrap();
    let statistics = AveragedStatistics::Average;
    let ema = Average::Ema { decay: 0.9, warmup: true, from: 0, statistics };
    for recipe in [
        Recipe { average: Some(ema), ..of("free") },
        Recipe { awp: Some(Awp { gamma: 0.01, from: 0 }), average: Some(ema), ..of("mart") },
        Recipe { awp: Some(Awp { gamma: 0.01, from: 0 }), ..of("gradalign") },
        Recipe { average: Some(Average::Swa { from: 1, statistics }), ..of("trades") },
        Recipe { awp: Some(Awp { gamma: 0.01, from: 0 }), average: Some(ema), ..of("dial") },
        Recipe { optimiser: of("vit-light").optimiser, ..of("dial-ce") },
        Recipe { awp: Some(Awp { gamma: 0.01, from: 1 }), ..of("multi-bn") },
        Recipe { ramp: Some(Ramp { epochs: 2.0, from: 0.5 }), ..of("dynamic-fosc") },
    ] {
        stops_and_goes_on(recipe);
    }
}

/// A step whose loss or gradient is no number fails by name and leaves the weights as they were, those that were moved,
/// too.
#[test]
fn a_step_that_fails_leaves_the_weights() {
    for word in ["at-awp", "n-fgsm", "free"] {
        let recipe = small(preset(word).unwrap());
        let mut trainee = trainee(&recipe, 2);
        let n = trainee.network().layout().len();
        let mut numbers: Vec<f32> = trainee.network().state().to_vec1().unwrap();
        numbers[n / 2] = f32::INFINITY;
        trainee.network().set_state(&Tensor::from_vec(numbers.clone(), n, &Device::Cpu).unwrap()).unwrap();
        let images = images();
        let ids = images.ids();
        let device = Device::Cpu;
        let loader = Loader::new(&images, IMAGE, &ids, 8, Seed::root(5), &device);
        let failed: Result<()> = fit(&mut trainee, &loader, EPOCHS, Position::default(), &mut |_, _, _| Ok(()));
        assert!(matches!(failed, Err(Error::NotFinite(_))), "{word}: {failed:?}");
        let trainable = trainee.network().layout().trainable();
        let after: Vec<f32> = trainee.network().state().to_vec1().unwrap();
        assert_eq!(after[..trainable], numbers[..trainable], "{word}");
    }
}
