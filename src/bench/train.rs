//! A training step of one network by one method.

use std::str::FromStr;

use candle_core::Device;
use serde::Serialize;

use super::{Line, Needs, noise};
use crate::arch::net::Net;
use crate::config::{Method, Retrain, Sgd};
use crate::data::loader::Loader;
use crate::engine::Network;
use crate::error::{Result, nearest};
use crate::jobs::resident;
use crate::seed::Seed;
use crate::threat::AttackNorm;
use crate::train::fit::{Learner, Position};
use crate::train::method::work;
use crate::train::retrain::Trainee;
use crate::units::Fraction;

/// The forms of a method, for messages and help.
pub const METHODS: &str = "standard, n-fgsm, pgd-STEPS (such as pgd-10), trades";

const EPS: Fraction = Fraction::of_255(8);
const STEP: Fraction = Fraction::of_255(2);
/// What PreActResNet-18 is usually trained with (Rice et al. 2020), and this program's clipping.
const SGD: Sgd = Sgd { lr: 0.1, lr_min: 0.0, momentum: 0.9, weight_decay: 5e-4, clip: 5.0 };

/// A method with its usual constants: radius 8/255, steps of 2/255, N-FGSM's noise of twice the radius, TRADES' ten
/// steps and beta 6. PGD attacks on running statistics, as in the space files; the other two leave no choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The word on the command line and in results.
    pub word: String,
    /// The method.
    pub method: Method,
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let steps = |text: &str| text.strip_prefix("pgd-").and_then(|n| n.parse().ok()).filter(|n: &u32| *n > 0);
        let method = match (text, steps(text)) {
            ("standard", _) => Method::Standard,
            ("n-fgsm", _) => Method::NFgsm { eps: EPS, noise: "2".parse()? },
            ("trades", _) => Method::Trades { eps: EPS, step: STEP, steps: 10, beta: 6.0 },
            (_, Some(steps)) => Method::PgdAt { eps: EPS, step: STEP, steps, attack_norm: AttackNorm::Eval },
            _ => {
                let hint = nearest(text, ["standard", "n-fgsm", "pgd-10", "trades"]);
                let hint = hint.map(|word| format!("did you mean `{word}`? ")).unwrap_or_default();
                return Err(format!("unknown method `{text}`; {hint}known: {METHODS}"));
            }
        };
        Ok(Recipe { word: text.to_owned(), method })
    }
}

/// The network and the method.
#[derive(Clone, Debug, Serialize)]
pub struct Training {
    /// The network, as it was named.
    pub net: String,
    /// The method's word.
    pub method: String,
}

/// Times training steps of a network, `steps` of them after a first one.
///
/// # Errors
/// [`crate::error::Error::NotFinite`] where the training diverges.
pub fn measure(net: Net, name: &str, recipe: &Recipe, batch: usize, steps: usize) -> Result<Line<Training>> {
    let before = resident();
    let (seed, device, shape) = (Seed::root(0).child("bench"), Device::Cpu, net.input_shape());
    let data = noise(shape, net.classes(), batch, seed);
    let ids: Vec<u32> = (0..batch as u32).collect();
    let loader = Loader { images: &data.train, shape, ids: &ids, batch, augment: None, seed, device: &device };
    let images = loader.batch(&loader.order(0), 0, 0)?;
    let network = Network::new(net, seed.child("init"), &device)?;
    let mut trainee = Trainee::new(network, Retrain { epochs: 1, batch, method: recipe.method, sgd: SGD })?;
    let needs = Needs::of(trainee.network(), &work(&recipe.method, batch), before)?;
    let training = Training { net: name.to_owned(), method: recipe.word.clone() };
    Line::measure(&recipe.word, training, needs, steps, &mut || trainee.step(&images, Position::default()).map(drop))
}
