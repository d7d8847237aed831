//! Attacks. An attack sees logits and input gradients of a frozen classifier and nothing else.
//!
//! One file per attack; [`run`] calls them all. They share the [`ball`] with its projections, and [`cases`], per-sample state
//! on the host. [`suite`] runs a plan of attacks over a data set, [`checks`] looks for signs of masked gradients.

pub mod apgd;
mod apgd_l1;
pub mod ball;
mod canvas;
pub mod cases;
pub mod checks;
mod climber;
mod corrupt;
pub mod fab;
mod fgsm;
mod frank_wolfe;
mod hyperplane;
mod mi_fgsm;
pub mod pgd;
mod spsa;
pub mod square;
pub mod suite;
mod tiles;

use candle_core::{DType, Tensor};

pub use crate::data::loader::Samples;
use crate::engine::{Logits, LossGradient, Mode, Network, NormMode, Wrt, euclidean_norm};
use crate::error::{Error, Result};
use crate::threat::{Attack, Norm};

/// Something that can be attacked.
pub trait Classifier {
    /// The logits of `[n, h, w, c]`.
    ///
    /// # Errors
    /// Whatever keeps the classifier from answering; of a [`Target`], [`Error::NotFinite`] for a logit that is NaN or infinite
    /// and [`Error::Net`] for images of another size.
    fn logits(&mut self, x: &Tensor) -> Result<Logits>;

    /// Logits, and the gradient of a loss in the images, `[n, h, w, c]`. An image's part of the gradient does not depend on
    /// the others, unless the classifier mixes images (batch statistics).
    ///
    /// # Errors
    /// As [`logits`](Self::logits); of a [`Target`] also [`Error::NotFinite`] for a gradient that is NaN or infinite.
    fn input_gradient(&mut self, x: &Tensor, loss: &dyn Fn(&Logits) -> LossGradient) -> Result<(Logits, Tensor)>;
}

/// A network with fixed weights, its mixing vector and its batch-norm mode, as a [`Classifier`].
pub struct Target<'a> {
    /// The network.
    pub network: &'a mut Network,
    /// Its mixing vector; empty for a derived network.
    pub mix: &'a [f64],
    /// Batch-norm while attacking; never [`NormMode::Train`], which would record the attack in the network.
    pub mode: NormMode,
}

impl<'a> Target<'a> {
    /// A derived network as it is deployed: running statistics.
    pub fn deployed(network: &'a mut Network) -> Self {
        Target { network, mix: &[], mode: NormMode::Eval }
    }
}

/// NaN and infinite values are errors here: a NaN logit would count as a misclassification and a NaN gradient leads an attack
/// nowhere, so either would look like a measurement.
impl Classifier for Target<'_> {
    fn logits(&mut self, x: &Tensor) -> Result<Logits> {
        Called { network: &mut *self.network, mix: self.mix, mode: self.mode.into() }.logits(x)
    }

    fn input_gradient(&mut self, x: &Tensor, loss: &dyn Fn(&Logits) -> LossGradient) -> Result<(Logits, Tensor)> {
        Called { network: &mut *self.network, mix: self.mix, mode: self.mode.into() }.input_gradient(x, loss)
    }
}

/// A network in training under attack, called in any way: through another of several batch-norms, or with entries dropped.
pub struct Called<'a> {
    /// The network.
    pub network: &'a mut Network,
    /// Its mixing vector; empty for a derived network.
    pub mix: &'a [f64],
    /// How it is called.
    pub mode: Mode,
}

impl Classifier for Called<'_> {
    fn logits(&mut self, x: &Tensor) -> Result<Logits> {
        let logits = self.network.logits(x, self.mix, self.mode)?;
        finite_logits(&logits)?;
        Ok(logits)
    }

    fn input_gradient(&mut self, x: &Tensor, loss: &dyn Fn(&Logits) -> LossGradient) -> Result<(Logits, Tensor)> {
        let found = self.network.gradients(x, self.mix, self.mode, Wrt::INPUT, loss)?;
        let gradient = found.input.ok_or_else(|| Error::Net("no input gradient was computed".into()))?;
        finite_logits(&found.logits)?;
        finite_gradient(&gradient)?;
        Ok((found.logits, gradient))
    }
}

/// # Errors
/// [`Error::NotFinite`] naming the first logit that is NaN or infinite.
fn finite_logits(logits: &Logits) -> Result<()> {
    let Some(at) = logits.values.iter().position(|z| !z.is_finite()) else { return Ok(()) };
    let (value, image, class, n) = (logits.values[at], at / logits.classes, at % logits.classes, logits.rows().len());
    Err(Error::NotFinite(format!(
        "the network's logit of class {class} is {value} (image {image} of a batch of {n}), so nothing can be \
         measured; look for weights that are too large"
    )))
}

/// # Errors
/// [`Error::NotFinite`] naming the first image whose gradient has a NaN or infinite entry.
fn finite_gradient(gradient: &Tensor) -> Result<()> {
    // The norm of finite 32-bit numbers is finite in 64 bits.
    if euclidean_norm(gradient)?.is_finite() {
        return Ok(());
    }
    let images: Vec<Vec<f64>> = gradient.flatten_from(1)?.to_dtype(DType::F64)?.to_vec2()?;
    let unfit = |image: &Vec<f64>| image.iter().copied().find(|g| !g.is_finite());
    let found = images.iter().enumerate().find_map(|(i, image)| Some((i, unfit(image)?)));
    let Some((i, value)) = found else { return Ok(()) };
    Err(Error::NotFinite(format!(
        "the loss's gradient in the pixels holds {value} (image {i} of a batch of {}): an attack that follows it is blind; \
         look for weights that are too large",
        images.len()
    )))
}

/// Attacks a batch. Returns `[n, h, w, c]`: for every sample a misclassified image, if the attack found one, else the clean
/// image. Attacks that are judged by their last iterate (FGSM, R+FGSM, PGD, MI-FGSM, Frank-Wolfe) return that, misclassified
/// or not. The caller asks the classifier which samples were fooled.
///
/// # Errors
/// Those of the classifier; [`Error::Tensor`] for images that are not f32 `[n, h, w, c]`.
///
/// # Cost
/// [`Attack::passes`] less one, for a sample that is never misclassified. The attacks that return the first misclassified image
/// stop asking about a sample once they have it.
pub fn run(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &Attack) -> Result<Tensor> {
    let samples = Samples { seed: samples.seed.child(&attack.name()), ..samples };
    match attack {
        Attack::Fgsm { eps } => fgsm::fgsm(classifier, samples, *eps),
        Attack::RFgsm(config) => fgsm::r_fgsm(classifier, samples, config),
        Attack::Pgd(config) => pgd::worst_of_restarts(classifier, samples, config),
        Attack::MiFgsm(config) => mi_fgsm::mi_fgsm(classifier, samples, config),
        Attack::Apgd(config) if config.norm == Norm::L1 => apgd_l1::apgd(classifier, samples, config),
        Attack::Apgd(config) => apgd::apgd(classifier, samples, config),
        Attack::Fab(config) => fab::fab(classifier, samples, config),
        Attack::Square(config) => square::square(classifier, samples, config),
        Attack::Spsa(config) => spsa::spsa(classifier, samples, config),
        Attack::FrankWolfe(config) => frank_wolfe::frank_wolfe(classifier, samples, config),
        Attack::Occlusion(config) => corrupt::occlusion(classifier, samples, config),
        Attack::SaltPepper(config) => corrupt::salt_pepper(classifier, samples, config),
    }
}
