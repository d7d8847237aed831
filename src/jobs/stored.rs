//! Images that were attacked earlier, measured on a network.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::attack::Subject;
use super::measure::sample;
use crate::attack::ball::Ball;
use crate::attack::{Classifier, Target};
use crate::data::Dataset;
use crate::data::attacked::{self, Stored};
use crate::data::loader::Loader;
use crate::error::{Error, IoContext, Result};
use crate::loss::correct;
use crate::report::stored::StoredResult;
use crate::seed::Seed;
use crate::threat::{Found, Threat};

/// What the user asked for.
pub struct Job {
    /// The clean images, in the test half.
    pub data: Dataset,
    /// The network.
    pub subject: Subject,
    /// A file of attacked images, or a folder of such files.
    pub path: PathBuf,
    /// The ball that they are to be in.
    pub threat: Threat,
    /// Images a pass; no influence on the result.
    pub batch: usize,
}

/// Measures a network on a file of images, or on all files of a folder, and checks them against the clean ones.
///
/// # Errors
/// [`Error::Data`] naming the file whose images are not of the data; [`Error::Usage`] for a folder without files.
pub fn run(job: Job) -> Result<StoredResult> {
    let Job { data, subject, path, threat, batch } = job;
    let Subject { mut network, about } = subject;
    let ball = Ball::new(threat.norm, threat.eps.value());
    let target = &mut Target::deployed(&mut network);
    let (mut ids, mut clean, mut stands, mut outside) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for file in files_of(&path)? {
        let stored = attacked::decode(&std::fs::read(&file).at(&file)?, &file)?;
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
    let standing = stands.into_iter().zip(&clean).map(|(stands, clean)| stands && *clean).collect();
    let found = Found { standing, outside, ..Found::new(clean) };
    let sample = sample(&data, data.content_id(), "test", &ids);
    Ok(StoredResult::new(about, sample, path.display().to_string(), threat, ids, &found))
}

/// The file itself, or the files of a folder in the order of their names.
fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).at(path)? {
        let file = entry.at(path)?.path();
        if file.extension().is_some_and(|extension| extension == "safetensors") {
            found.push(file);
        }
    }
    if found.is_empty() {
        return Err(Error::Usage(format!("--adversarial {}: there is no .safetensors file", path.display())));
    }
    found.sort();
    Ok(found)
}

/// Whether stored images are changed images of the data.
fn belongs(stored: &Stored, data: &Dataset, file: &Path) -> Result<()> {
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
