//! Trains a small network adversarially on images that the program draws, and attacks it:
//! `cargo run --release --example train_and_attack`.

use candle_core::Device;
use robustnas::attack::{Target, suite::Suite};
use robustnas::data::loader::Loader;
use robustnas::data::synthetic;
use robustnas::engine::Network;
use robustnas::error::{Error, Result};
use robustnas::model;
use robustnas::recipe::{Adversary, Recipe, preset};
use robustnas::seed::Seed;
use robustnas::threat::{Attack, AttackPlan, Pgd};
use robustnas::train::fit::{Position, fit};
use robustnas::train::trainee::Trainee;
use robustnas::units::Fraction;

fn main() -> Result<()> {
    let (data, device, eps) = (synthetic::generate(640, 64), Device::Cpu, Fraction::of_255(4));
    let net = model::named("wrn:channels=8-8-16-32,depths=1-1-1", data.image, data.classes.len())?;

    // The paper's constants, but for a smaller ball and a short training.
    let mut recipe = Recipe { epochs: 3, batch: 32, ..preset("n-fgsm").map_err(Error::Usage)? };
    if let Adversary::SingleStep(attack) = &mut recipe.adversary {
        attack.eps = eps;
    }
    let (epochs, batch) = (recipe.epochs, recipe.batch);
    let mut trainee = Trainee::new(Network::new(net, Seed::root(0), &device)?, recipe, Seed::root(0))?;
    let (train, test) = (data.train.ids(), data.test.ids());
    let shown = Loader::new(&data.train, data.image, &train, batch, Seed::root(1), &device);
    fit(&mut trainee, &shown, epochs, Position::default(), &mut |_, at, loss| {
        if at.step == 0 {
            println!("epoch {}: loss {loss:.2}", at.epoch);
        }
        Ok(())
    })?;

    let mut network = trainee.into_network()?;
    let attacks = vec![Attack::Fgsm { eps }, Attack::Pgd(Pgd::new(eps, Fraction::of_255(1), 10))];
    let plan = AttackPlan::new("fgsm and pgd-10", attacks).for_classes(data.classes.len())?;
    let suite = Suite { plan: &plan, loader: &Loader { images: &data.test, ids: &test, ..shown }, seed: Seed::root(2) };
    let found = suite.run(&mut Target::deployed(&mut network), &[], &mut |_| Ok(()))?;
    println!("of {} test images, {} are right, {} under both attacks", test.len(), found.clean(), found.robust());
    Ok(())
}
