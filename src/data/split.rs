//! The role of each image: trains weights, trains the architecture, ranks candidates, or is in the final table.

use sha2::{Digest, Sha256};

use super::{Dataset, short_hex};
use crate::config::Split;
use crate::error::{Error, Result};
use crate::seed::Seed;

/// Disjoint parts of a data set, as indices into its halves.
///
/// Each part, and each prefix of a part, has the classes in the proportions of its half, to within rounding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splits {
    /// Training images for the supernet's weights.
    pub weights: Vec<u32>,
    /// Training images for the architecture's parameters.
    pub arch: Vec<u32>,
    /// Training images held out to rank candidates.
    pub validation: Vec<u32>,
    /// Test images.
    pub test: Vec<u32>,
}

/// The seed of the parts of every run.
const IMAGES: u64 = 0;

impl Splits {
    /// Divides `data` as `split` says: the same images in every run, whatever its seed. A run's seed does not change
    /// its images, so that runs of several seeds are measured on one set and can be compared.
    ///
    /// # Errors
    /// Those of [`Splits::draw`].
    pub fn of(data: &Dataset, split: &Split) -> Result<Self> {
        Splits::draw(data, split, Seed::root(IMAGES).child("splits"))
    }

    /// Divides `data` as `split` says, by `seed` and the labels alone.
    ///
    /// The validation images are drawn first: the same seed holds out the same ones however many images train.
    ///
    /// # Errors
    /// [`Error::Usage`] when the data set is too small or a part would be empty, with the counts.
    pub fn draw(data: &Dataset, split: &Split, seed: Seed) -> Result<Self> {
        let classes = data.classes.len();
        let used = amount("train", split.train, "training", data.train.len())?;
        let tested = amount("test", split.test, "test", data.test.len())?;
        if !(0.0..=1.0).contains(&split.weights_share) {
            return Err(Error::Usage(format!("split.weights_share is {}; expected 0 to 1", split.weights_share)));
        }
        if split.validation >= used {
            return Err(Error::Usage(format!(
                "split.validation holds out {} of {used} training images, which leaves none to train on; lower it or \
                 raise split.train",
                split.validation
            )));
        }
        let rest = used - split.validation;
        let weights = (split.weights_share * rest as f64).round() as usize;
        if weights == 0 {
            return Err(Error::Usage(format!(
                "split.weights_share = {} of {rest} images leaves none to train weights; raise it",
                split.weights_share
            )));
        }
        let train = stratified(&data.train.labels, classes, seed.child("split/train"));
        let (validation, train) = train[..used].split_at(split.validation);
        let (weights, arch) = train.split_at(weights);
        let test = stratified(&data.test.labels, classes, seed.child("split/test"));
        let splits = Splits {
            weights: weights.to_vec(),
            arch: arch.to_vec(),
            validation: validation.to_vec(),
            test: test[..tested].to_vec(),
        };
        splits.verify(data.train.len(), data.test.len())?;
        Ok(splits)
    }

    /// The images of retraining: the weight part, then the architecture part.
    pub fn retrain(&self) -> Vec<u32> {
        [&self.weights[..], &self.arch].concat()
    }

    /// Checks that every index exists and no image has two roles.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the image and both parts.
    pub fn verify(&self, train: usize, test: usize) -> Result<()> {
        let of_train = [("weights", &self.weights), ("arch", &self.arch), ("validation", &self.validation)];
        disjoint("training", train, &of_train)?;
        disjoint("test", test, &[("test", &self.test)])
    }
}

/// How many images a key asks for; zero is all.
fn amount(key: &str, asked: usize, half: &str, there: usize) -> Result<usize> {
    match asked {
        _ if there == 0 => Err(Error::Usage(format!("the data set has no {half} images"))),
        0 => Ok(there),
        n if n > there => {
            Err(Error::Usage(format!("split.{key} asks for {n} {half} images, the data set has {there}; lower it")))
        }
        n => Ok(n),
    }
}

fn disjoint(half: &str, len: usize, parts: &[(&'static str, &Vec<u32>)]) -> Result<()> {
    let mut role: Vec<Option<&str>> = vec![None; len];
    for (part, indices) in parts {
        for &i in *indices {
            let Some(slot) = role.get_mut(i as usize) else {
                return Err(Error::Usage(format!("part `{part}` names {half} image {i}, the data set has {len}")));
            };
            if let Some(other) = slot.replace(part) {
                return Err(Error::Usage(format!("{half} image {i} is in the parts `{other}` and `{part}`")));
            }
        }
    }
    Ok(())
}

/// A shuffled order in which every interval has the classes in proportion: the `k`-th of a class's `n` images is
/// at position `(2k + 1) / 2n` of the whole.
fn stratified(labels: &[u32], classes: usize, seed: Seed) -> Vec<u32> {
    let mut of_class: Vec<Vec<u32>> = vec![Vec::new(); classes];
    for (i, &label) in labels.iter().enumerate() {
        of_class[label as usize].push(i as u32);
    }
    // Ties between classes are broken by a seeded order, or the first class would come first in every prefix.
    let mut turn: Vec<usize> = (0..classes).collect();
    seed.child("classes").stream().shuffle(&mut turn);
    let mut placed = Vec::with_capacity(labels.len());
    for (class, indices) in of_class.iter_mut().enumerate() {
        seed.index(class as u64).stream().shuffle(indices);
        let n = indices.len() as u64;
        placed.extend(indices.iter().enumerate().map(|(k, &i)| (2 * k as u64 + 1, n, turn[class], i)));
    }
    placed.sort_unstable_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)).then(a.2.cmp(&b.2)));
    placed.into_iter().map(|(.., i)| i).collect()
}

/// The first 16 hexadecimal digits of a SHA-256 over indices in ascending order; stored with every score. A score does
/// not depend on the order of its images, so neither does the id of their set.
pub fn index_id(indices: &[u32]) -> String {
    let mut sorted = indices.to_vec();
    sorted.sort_unstable();
    let mut hash = Sha256::new();
    hash.update(b"robustnas/indices/1");
    for i in sorted {
        hash.update(i.to_le_bytes());
    }
    short_hex(hash)
}
