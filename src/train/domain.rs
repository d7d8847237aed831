//! DIAL's domain head at work (Levi, Attias and Kontorovich): a small classifier on the network's features that learns to
//! tell clean from attacked images, while the network learns that it cannot.

use std::cell::RefCell;

use candle_core::Tensor;

use super::descent::Descent;
use super::fit::State;
use super::vectors::add;
use super::work::BOTH;
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Act, Op, Shape};
use crate::engine::{Fusion, Gradients, Logits, LossGradient, Mode, Network, Wrt};
use crate::error::{Error, Result};
use crate::loss::Targets;
use crate::recipe::{Domain, Recipe};
use crate::seed::Seed;

/// The names of the head's vectors in a saved state begin with this.
const SAVED: &str = "domain.";

/// The kinds of images that the head tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Class 0.
    Clean,
    /// Class 1.
    Attacked,
}

/// A domain head in training.
pub struct Critic {
    weight: f64,
    /// The network with its features behind its logits.
    body: Network,
    head: Network,
    descent: Descent,
    /// How strong the reversed gradient is.
    reversal: f64,
    /// The head's gradient since [`Critic::begin`], `[trainable]`.
    slope: Option<Tensor>,
}

impl Critic {
    /// A fresh head for a network, with an optimiser of its own by the recipe's rule; its weights begin by a seed.
    ///
    /// # Errors
    /// [`Error::Usage`] where the network does not end in a linear layer, on whose input the head stands.
    pub fn new(rule: &Domain, recipe: &Recipe, network: &Network, seed: Seed) -> Result<Self> {
        let net = network.net();
        let features = features(net)?;
        let state = network.state();
        let head = head(net.node(features).shape, &rule.hidden)?;
        let head = Network::with(head, seed, state.device(), state.dtype(), Fusion::ALL)?;
        let descent = Descent::new(recipe.optimiser, recipe.clip, &head)?;
        let body = network.view(net.answering(features)?)?;
        Ok(Critic { weight: rule.weight, body, head, descent, reversal: 0.0, slope: None })
    }

    /// The head.
    pub fn head(&mut self) -> &mut Network {
        &mut self.head
    }

    /// Begins a step: the head's gradient is zero, the network's from it is reversed and multiplied by `reversal`.
    pub fn begin(&mut self, reversal: f64) {
        (self.reversal, self.slope) = (reversal, None);
    }

    /// The gradient of `loss` in the network's weights, and with it that of the head on what is shown, whose value is
    /// added; the head's own gradient is kept for [`Critic::step`].
    ///
    /// # Errors
    /// As [`Network::gradients`].
    pub fn gradients(
        &mut self,
        network: &mut Network,
        images: &Tensor,
        mix: &[f64],
        mode: Mode,
        side: Side,
        loss: &dyn Fn(&Logits) -> LossGradient,
    ) -> Result<Gradients> {
        let Critic { weight, body, head, reversal, .. } = self;
        let classes = network.net().classes();
        let head = RefCell::new(head);
        let told = RefCell::new(None);
        let found = network.through(body, |body| {
            body.gradients(images, mix, mode, Wrt::PARAMS, &|answers| {
                let (logits, features) = answers.parted(classes);
                let own = loss(&logits);
                match tell(&mut head.borrow_mut(), &features, mode, side, *weight) {
                    Ok((value, slope, weights)) => {
                        told.replace(Some(Ok(weights)));
                        let reversed: Vec<f64> = slope.into_iter().map(|d| -*reversal * d).collect();
                        let dlogits = Logits::beside(&own.dlogits, classes, &reversed, features.classes);
                        LossGradient { value: own.value + value, dlogits }
                    }
                    Err(why) => {
                        told.replace(Some(Err(why)));
                        LossGradient { value: f64::NAN, dlogits: vec![0.0; answers.values.len()] }
                    }
                }
            })
        });
        let slope = told.into_inner().transpose()?;
        let found = found?;
        if let Some(slope) = slope {
            match &self.slope {
                Some(sum) => add(sum, &slope)?,
                None => self.slope = Some(slope),
            }
        }
        Ok(Gradients { logits: found.logits.parted(classes).0, ..found })
    }

    /// The head's step down its gradient since [`Critic::begin`].
    ///
    /// # Errors
    /// [`Error::NotFinite`] where the gradient is not a number.
    pub fn step(&mut self, lr: f64) -> Result<()> {
        match self.slope.take() {
            Some(slope) => self.descent.step(&self.head, &slope, lr),
            None => Err(Error::Internal("a domain head without a gradient".into())),
        }
    }

    /// A fresh optimiser for the head as it stands.
    ///
    /// # Errors
    /// As [`Descent::new`].
    pub fn restart(&mut self, recipe: &Recipe) -> Result<()> {
        self.descent = Descent::new(recipe.optimiser, recipe.clip, &self.head)?;
        Ok(())
    }

    /// All that it has learned.
    ///
    /// # Errors
    /// As [`Descent::save`].
    pub fn save(&self) -> Result<Vec<(String, Tensor)>> {
        let (vectors, _) = self.descent.save()?;
        let all = vectors.into_iter().chain([("head", self.head.state().clone())]);
        Ok(all.map(|(name, tensor)| (format!("{SAVED}{name}"), tensor)).collect())
    }

    /// Takes up what was saved, behind as many steps.
    ///
    /// # Errors
    /// [`Error::Net`] naming what is missing or does not fit.
    pub fn restore(&mut self, state: &mut State, steps: u64) -> Result<()> {
        let mut own = state.part(SAVED);
        self.head.set_state(&own.take("head", self.head.layout().len())?)?;
        self.descent.restore(&mut own, steps)
    }
}

/// What the head makes of features: its loss, the loss's gradient in the features, and in its weights.
fn tell(head: &mut Network, features: &Logits, mode: Mode, side: Side, weight: f64) -> Result<(f64, Vec<f64>, Tensor)> {
    let (n, c) = (features.rows().len(), features.classes);
    let state = head.state();
    let x = Tensor::from_vec(features.values.clone(), (n, 1, 1, c), state.device())?.to_dtype(state.dtype())?;
    let labels = vec![u32::from(side == Side::Attacked); n];
    let found = head.gradients(&x, &[], mode.norm, BOTH, &|logits| {
        let LossGradient { value, mut dlogits } = Targets::Hard(&labels).cross_entropy(logits, 0.0);
        dlogits.iter_mut().for_each(|d| *d *= weight);
        LossGradient { value: weight * value, dlogits }
    })?;
    let slope = found.input.as_ref().ok_or_else(|| Error::Internal("no input gradient was computed".into()))?;
    let slope = slope.flatten_all()?.to_dtype(candle_core::DType::F64)?.to_vec1()?;
    Ok((found.loss, slope, found.weights()?.clone()))
}

/// What the last layer reads.
fn features(net: &Net) -> Result<NodeId> {
    let last = net.node(net.output());
    match (&last.op, &net.inputs(net.output())[..]) {
        (Op::Linear { .. }, [features]) => Ok(*features),
        (op, _) => Err(Error::Usage(format!(
            "a domain head stands on what the network's last linear layer reads, and its last layer `{}` is {}",
            last.name,
            op.name()
        ))),
    }
}

/// Hidden layers of linear, batch-norm and ReLU, then the two classes.
fn head(features: Shape, hidden: &[usize]) -> Result<Net> {
    let mut net = Net::new();
    let mut x = net.add("features", Op::Input { shape: features }, &[])?;
    for (i, out) in hidden.iter().enumerate() {
        x = net.add(format!("fc{i}"), Op::Linear { out: *out, bias: true }, &[x])?;
        x = net.add(format!("norm{i}"), Op::BatchNorm { affine: true }, &[x])?;
        x = net.add(format!("act{i}"), Op::Act { act: Act::Relu }, &[x])?;
    }
    net.add("domain", Op::Linear { out: 2, bias: true }, &[x])?;
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::super::objective::{Shown, gradient};
    use super::*;
    use crate::arch::families::preact::PreAct;
    use crate::attack::Samples;
    use crate::engine::NormMode;
    use crate::recipe::preset;
    use candle_core::{DType, Device};

    const IMAGE: Shape = Shape::new(6, 6, 3);
    const LABELS: [u32; 4] = [0, 1, 2, 1];
    const REVERSAL: f64 = 0.7;

    fn images(name: &str) -> Tensor {
        let mut stream = Seed::root(2).child(name).stream();
        let pixels: Vec<f64> = (0..LABELS.len() * IMAGE.len()).map(|_| f64::from(stream.uniform())).collect();
        Tensor::from_vec(pixels, (LABELS.len(), IMAGE.h, IMAGE.w, IMAGE.c), &Device::Cpu).unwrap()
    }

    /// DIAL-KL's objective, with the head's loss added where there is one.
    fn value(network: &mut Network, critic: Option<&mut Critic>) -> (f64, Vec<f64>) {
        let (clean, attacked) = (images("clean"), images("attacked"));
        let samples = Samples { images: &clean, labels: &LABELS, ids: &LABELS, seed: Seed::root(3) };
        let shown = Shown { samples, targets: Targets::Hard(&LABELS), attacked: &attacked, eps: 0.1, branch: 0 };
        let objective = preset("dial").unwrap().objective;
        let (value, slope) = gradient(&objective, network, &[], shown, NormMode::TrainNoRecord, critic).unwrap();
        (value, slope.to_vec1().unwrap())
    }

    fn moved(weights: &[f64], i: usize, h: f64) -> Tensor {
        let mut moved = weights.to_vec();
        moved[i] += h;
        Tensor::from_vec(moved, weights.len(), &Device::Cpu).unwrap()
    }

    fn near(found: &[f64], mut at: impl FnMut(usize, f64) -> f64) {
        let scale = found.iter().fold(0f64, |m, g| m.max(g.abs()));
        assert!(scale > 1e-3, "{scale}");
        for i in (0..found.len()).step_by(7) {
            let numeric = (at(i, 1e-6) - at(i, -1e-6)) / 2e-6;
            assert!((numeric - found[i]).abs() < 1e-6 * scale, "weight {i}: {} against {numeric}", found[i]);
        }
    }

    /// The network descends its own loss and ascends the head's, as strongly as told; the head descends its own.
    #[test]
    fn gradients_are_those_of_finite_differences() {
        let recipe = preset("dial").unwrap();
        let net = PreAct::basic(3, [(1, 3), (1, 4)]).lower(IMAGE, 3).unwrap();
        let mut network = Network::with(net, Seed::root(1), &Device::Cpu, DType::F64, Fusion::ALL).unwrap();
        let mut critic = Critic::new(recipe.domain.as_ref().unwrap(), &recipe, &network, Seed::root(4)).unwrap();
        critic.begin(REVERSAL);
        let (_, slope) = value(&mut network, Some(&mut critic));
        let own: Vec<f64> = critic.slope.clone().unwrap().to_vec1().unwrap();
        let weights: Vec<f64> = network.weights().unwrap().to_vec1().unwrap();
        near(&slope, |i, h| {
            network.set_weights(&moved(&weights, i, h)).unwrap();
            let (class, _) = value(&mut network, None);
            critic.begin(REVERSAL);
            let (both, _) = value(&mut network, Some(&mut critic));
            class - REVERSAL * (both - class)
        });
        network.set_weights(&moved(&weights, 0, 0.0)).unwrap();
        let head: Vec<f64> = critic.head().weights().unwrap().to_vec1().unwrap();
        near(&own, |i, h| {
            critic.head().set_weights(&moved(&head, i, h)).unwrap();
            critic.begin(REVERSAL);
            value(&mut network, Some(&mut critic)).0
        });
    }
}
