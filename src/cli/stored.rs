//! `robustnas attack --adversarial`: images that were attacked earlier, measured on a network.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::files;
use super::subject::{Measured, flags, sample};
use crate::attack::ball::Ball;
use crate::attack::{Classifier, Target};
use crate::data::attacked::{self, Stored};
use crate::data::loader::Loader;
use crate::error::{Error, Result};
use crate::loss::correct;
use crate::report::stored::{SCHEMA_VERSION, StoredResult, table};
use crate::seed::Seed;
use crate::threat::{Check, Threat};
use crate::units::Tally;

/// Measures a network on a file of images, or on all files of a folder, and checks them against the clean ones.
///
/// # Errors
/// [`Error::Data`] naming the file whose images are not of the data; [`Error::Usage`] for a folder without files.
pub fn measure(measured: Measured, path: &Path, threat: Threat, batch: usize, json: bool) -> Result<()> {
    let Measured { data, name, mut network, about } = measured;
    let ball = Ball::new(threat.norm, threat.eps.value());
    let target = &mut Target::deployed(&mut network);
    let (mut ids, mut clean, mut stands, mut outside) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for file in files_of(path)? {
        let stored = attacked::decode(&files::bytes(&file)?, &file)?;
        belongs(&stored, &data, &file)?;
        let loader = Loader::new(&data.test, data.image, &stored.ids, batch, Seed::root(0), &Device::Cpu);
        for (number, one) in loader.plain().enumerate() {
            let one = one?;
            let attacked = stored.images.narrow(0, number * batch, one.ids.len())?;
            let rows = |t: &Tensor| -> Result<Vec<Vec<f32>>> { Ok(t.flatten_from(1)?.to_vec2()?) };
            outside +=
                rows(&attacked)?.iter().zip(rows(&one.images)?).filter(|(x, c)| !ball.holds(x, c)).count() as u64;
            clean.extend(correct(&target.logits(&one.images)?, &one.labels));
            stands.extend(correct(&target.logits(&attacked)?, &one.labels));
        }
        ids.extend(stored.ids);
    }
    // As under an attack: right on both.
    stands.iter_mut().zip(&clean).for_each(|(stands, clean)| *stands &= clean);
    let count = |right: &[bool]| right.iter().filter(|r| **r).count() as u64;
    let robust = Tally { hit: count(&stands), total: ids.len() as u64 };
    let (low, high) = robust.wilson95();
    let result = StoredResult {
        schema_version: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        network: about,
        sample: sample(&data, &name, &ids),
        adversarial: path.display().to_string(),
        norm: threat.norm,
        eps: threat.eps,
        n: robust.total,
        clean_correct: count(&clean),
        robust: robust.hit,
        robust_accuracy: robust.rate(),
        interval: [low, high],
        outside,
        checks: (outside > 0).then_some(Check::OutOfBounds).into_iter().collect(),
        clean_flags: flags(&clean),
        robust_flags: flags(&stands),
        ids,
    };
    if json { files::print_json(&result) } else { files::print(&table(&result)) }
}

/// The file itself, or the files of a folder in the order of their names.
fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let found = files::named(path, "safetensors")?;
    if found.is_empty() {
        return Err(Error::Usage(format!("--adversarial {}: there is no .safetensors file", path.display())));
    }
    Ok(found)
}

/// Whether stored images are changed images of the data.
fn belongs(stored: &Stored, data: &crate::data::Dataset, file: &Path) -> Result<()> {
    let (_, h, w, c) = stored.images.dims4()?;
    let shape = data.image;
    if [h, w, c] != [shape.h, shape.w, shape.c] {
        return Err(Error::data(file, format!("holds {h}x{w}x{c} images, the data has {shape}")));
    }
    for (id, label) in stored.ids.iter().zip(&stored.labels) {
        match data.test.labels.get(*id as usize) {
            Some(own) if own == label => {}
            Some(own) => {
                let words =
                    format!("image {id} has the label {label}, in the data it is {own}: they are of other data");
                return Err(Error::data(file, words));
            }
            None => {
                let n = data.test.len();
                return Err(Error::data(
                    file,
                    format!("has image {id}, the data has {n} of them: they are of other data"),
                ));
            }
        }
    }
    Ok(())
}
