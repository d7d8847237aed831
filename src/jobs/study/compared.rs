//! A network's training for comparison, in full, measured on the test images.

use candle_core::Device;

use crate::config::Config;
use crate::data::loader::Loader;
use crate::error::{Error, Result};
use crate::jobs::measure::{evaluate, sample};
use crate::jobs::stage::Saver;
use crate::jobs::strategy::{Built, Seeds, Trainings};
use crate::jobs::{Observer, Task};
use crate::report::searches::facts::{Compared, Outcome, Trained};
use crate::search::trial::Fidelity;

/// The training of this number of a network. Those of a number see the same images in the same order.
///
/// # Errors
/// [`Error::Stopped`]; a training that fails is an outcome.
pub fn compared(
    trainings: &Trainings<'_>,
    data_id: &str,
    built: &Built,
    (of, training): (Compared, u32),
    saver: &mut Saver,
    observer: &mut dyn Observer,
) -> Result<Trained> {
    let Trainings { config, data, splits, seed, interrupt, .. } = *trainings;
    let Config { evaluate: protocol, .. } = config;
    let named = |name: &str| seed.child(name).index(u64::from(training));
    let seeds = Seeds { fresh: named("fresh"), order: named("order") };
    let task = Task::Trial { name: format!("{of}, training {training}") };
    let trained = trainings.train(built, Fidelity::FULL, seeds, task, saver, observer);
    let measured = trained.and_then(|(mut network, validation)| {
        let test = sample(data, data_id.to_owned(), "test", &splits.test);
        let seed = seed.child("test");
        let loader = Loader::new(&data.test, data.image, &splits.test, protocol.batch, seed, &Device::Cpu);
        let stop = &mut || interrupt.check();
        let found = evaluate(&mut network, &loader, protocol, test, config.seed, stop)?;
        Ok((validation, found.evaluation()))
    });
    let outcome = match measured {
        Ok((validation, test)) => {
            Outcome::Ok { spent: trainings.spent(built.described.macs, Fidelity::FULL), validation, test }
        }
        Err(Error::NotFinite(reason)) => Outcome::Failed { reason },
        Err(other) => return Err(other),
    };
    Ok(Trained { of, training, network: built.described.clone(), outcome })
}
