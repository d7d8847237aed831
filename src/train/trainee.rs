//! A network in training by a recipe.

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::adversary::{Adapted, Moment, attacked};
use super::average::Averaged;
use super::awp;
use super::descent::Descent;
use super::domain::Critic;
use super::fit::{Learner, State};
use super::free::replay;
use super::kernels::kernels;
use super::mixing::mixed;
use super::objective::{Shown, gradient};
use super::selection::{Branches, KINDS};
use super::work::work;
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::arch::selection::with_module;
use crate::attack::Samples;
use crate::data::loader::Batch;
use crate::engine::{Cpu, Fusion, Memory, Network, NormMode};
use crate::error::{Error, Result};
use crate::loss::Targets;
use crate::recipe::{Adversary, Domain, Recipe, SingleStep, Time};
use crate::seed::Seed;
use crate::units::Fraction;

/// A network in training.
pub struct Trainee {
    network: Network,
    recipe: Recipe,
    descent: Descent,
    average: Option<Averaged>,
    critic: Option<Critic>,
    branches: Option<Branches>,
    /// Free training's perturbation, `[batch, h, w, c]`.
    delta: Option<Tensor>,
    /// All numbers of the network as it was kept when it was told to remember it, `[layout.len()]`.
    remembered: Option<Tensor>,
    progress: Progress,
}

/// What a training keeps beside vectors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Progress {
    adapted: Adapted,
    /// Updates of the average.
    updates: u64,
    /// Steps that the optimiser counts.
    steps: u64,
    /// Radii by which noise was raised.
    raised: u32,
    sums: Sums,
    /// Mean loss of each epoch that was ended.
    losses: Vec<f64>,
}

/// Sums over the steps of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    steps: u32,
    loss: f64,
    lr: f64,
    strength: f64,
}

/// What an epoch of training was like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Mean loss of its steps.
    pub loss: f64,
    /// Learning rate of its last step.
    pub lr: f64,
    /// Radius of its last attack; none where there is no attack.
    pub eps: Option<f64>,
    /// Mean distortion of the images that were monitored, of an adversary that adapts to it.
    pub distortion: Option<f64>,
    /// Steps that it then took.
    pub steps: Option<u32>,
}

/// The network that a recipe trains, made of the one that is named: with a selection module where it has one
/// ([`with_module`]), else the same.
///
/// # Errors
/// [`Error::Usage`] for a network without as many batch-norms as there are kinds of images.
pub fn fitted(net: &Net, recipe: &Recipe) -> Result<Net> {
    match recipe.selection {
        Some(_) => with_module(net, KINDS),
        None => Ok(net.clone()),
    }
}

impl Trainee {
    /// A fresh trainee; the seed is that of weights which are trained beside the network's.
    ///
    /// # Errors
    /// [`Error::Usage`] for a recipe whose parts do not go together, or do not go with the network.
    pub fn new(network: Network, recipe: Recipe, seed: Seed) -> Result<Self> {
        if let Some((key, why)) = recipe.fault() {
            return Err(Error::Usage(format!("the recipe's `{key}` {why}")));
        }
        let (branch, branches) = (recipe.branch, network.net().branches());
        if branch >= branches {
            let why = format!(
                "the recipe `{}` attacks through batch-norm {branch} (the first is 0), and the network has {branches} side by \
                 side; build it with norm=multi-batch:{}",
                recipe.name,
                branch + 1
            );
            return Err(Error::Usage(why));
        }
        Trainee::unchecked(network, recipe, seed)
    }

    /// A trainee that is timed and learns nothing, as its learning rate is 0: a rate at which training fails is for the
    /// training to find.
    ///
    /// # Errors
    /// [`Error::Usage`] for a recipe that does not go with the network.
    pub fn timed(network: Network, recipe: &Recipe) -> Result<Self> {
        let mut recipe = recipe.clone();
        recipe.schedule.lr = 0.0;
        recipe.schedule.shape = crate::recipe::Shape::Constant;
        // What comes in a later epoch is timed in the first.
        if let Some(awp) = &mut recipe.awp {
            awp.from = 0;
        }
        Trainee::unchecked(network, recipe, Seed::root(0))
    }

    fn unchecked(network: Network, recipe: Recipe, seed: Seed) -> Result<Self> {
        let descent = Descent::new(recipe.optimiser, recipe.clip, &network)?;
        let average = recipe.average.map(|rule| Averaged::new(rule, &network)).transpose()?;
        let critic = recipe.domain.as_ref();
        let critic = critic.map(|rule| Critic::new(rule, &recipe, &network, seed.child("domain"))).transpose()?;
        let branches = recipe.selection.map(|rule| Branches::new(rule, &network)).transpose()?;
        let delta = match &recipe.adversary {
            Adversary::Free(_) => {
                let Shape { h, w, c } = network.net().input_shape();
                Some(Tensor::zeros((recipe.batch, h, w, c), DType::F32, &Device::Cpu)?)
            }
            _ => None,
        };
        let progress = Progress::default();
        Ok(Trainee { network, recipe, descent, average, critic, branches, delta, remembered: None, progress })
    }

    /// The network in training, which need not be what is kept: [`Trainee::deployed`].
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// What its steps hold in memory, the network and the optimiser's vectors among it.
    ///
    /// # Errors
    /// [`Error::Internal`] as a plan's.
    pub fn memory(&self) -> Result<Memory> {
        self.network.memory(&work(&self.recipe, self.recipe.batch))
    }

    /// What steps by a recipe on a network will hold, before any of it is taken.
    ///
    /// # Errors
    /// [`Error::Internal`] as a plan's.
    pub fn memory_of(net: &Net, recipe: &Recipe) -> Result<Memory> {
        Memory::of(net, &work(recipe, recipe.batch), Fusion::ALL, &Cpu::widest())
    }

    /// Does something with the network as it is kept: with its average where there is one. The network in training is
    /// then as before, to the bit.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn deployed<T>(&mut self, work: impl FnOnce(&mut Network) -> Result<T>) -> Result<T> {
        let Some(average) = &self.average else { return work(&mut self.network) };
        let training = self.network.state().copy()?;
        self.network.set_state(average.numbers())?;
        let found = work(&mut self.network);
        self.network.set_state(&training)?;
        found
    }

    /// Keeps the network as it would be kept now, as part of the state, for [`Trainee::begin_at_remembered`].
    ///
    /// # Errors
    /// [`Error::Tensor`] where memory does not suffice.
    pub fn remember(&mut self) -> Result<()> {
        let numbers = self.average.as_ref().map_or(self.network.state(), Averaged::numbers);
        self.remembered = Some(numbers.copy()?);
        Ok(())
    }

    /// Whether it remembers a network.
    pub fn remembers(&self) -> bool {
        self.remembered.is_some()
    }

    /// Begins again at the network that it remembers, with a fresh optimiser and average; where it `raises`, with noise
    /// of a single-step adversary that is larger by a radius.
    ///
    /// # Errors
    /// [`Error::Internal`] where it remembers none.
    pub fn begin_at_remembered(&mut self, raises: bool) -> Result<()> {
        let numbers = self.remembered.as_ref();
        self.network.set_state(numbers.ok_or_else(|| Error::Internal("a trainee remembers no network".into()))?)?;
        self.descent = Descent::new(self.recipe.optimiser, self.recipe.clip, &self.network)?;
        self.average = self.recipe.average.map(|rule| Averaged::new(rule, &self.network)).transpose()?;
        if let Some(critic) = &mut self.critic {
            critic.restart(&self.recipe)?;
        }
        self.raise(u32::from(raises));
        Ok(())
    }

    fn raise(&mut self, by: u32) {
        self.progress.raised += by;
        if let Adversary::SingleStep(SingleStep { noise, .. }) = &mut self.recipe.adversary {
            let (radii, unit) = noise.terms();
            *noise = Fraction::new(radii + by * unit, unit);
        }
    }

    /// The trained network as it is kept.
    ///
    /// # Errors
    /// [`Error::Tensor`] where memory does not suffice.
    pub fn into_network(mut self) -> Result<Network> {
        if let Some(average) = &self.average {
            self.network.set_state(average.numbers())?;
        }
        Ok(self.network)
    }

    /// What the epoch that just ended was like; the next one's sums begin.
    pub fn end_epoch(&mut self) -> Epoch {
        let Sums { steps, loss, lr, strength } = std::mem::take(&mut self.progress.sums);
        let adapts = matches!(&self.recipe.adversary, Adversary::FrankWolfe(rule) if rule.monitor > 0);
        let adapted = self.progress.adapted;
        let loss = loss / f64::from(steps.max(1));
        self.progress.losses.push(loss);
        Epoch {
            loss,
            lr,
            eps: self.recipe.adversary.eps().map(|eps| eps.value() * strength),
            distortion: adapted.mean().filter(|_| adapts),
            steps: adapted.steps.filter(|_| adapts),
        }
    }

    /// The mean loss of each epoch that was ended, those before an interruption among them.
    pub fn losses(&self) -> &[f64] {
        &self.progress.losses
    }

    /// The step on a batch as it is shown; returns the loss.
    fn learn(&mut self, samples: Samples<'_>, targets: Targets<'_>, at: Time, lr: f64, strength: f64) -> Result<f64> {
        let Trainee { network, recipe, descent, critic, branches, delta, progress, .. } = self;
        let eps = recipe.adversary.eps().map_or(0.0, |eps| eps.value() * strength);
        if let (Adversary::Free(rule), Some(all)) = (&recipe.adversary, delta) {
            // A smaller batch has the first rows.
            let (n, rows) = (samples.ids.len(), all.dims()[0]);
            let mut own = match n <= rows {
                true => all.narrow(0, 0, n)?.force_contiguous()?,
                false => samples.images.zeros_like()?,
            };
            let shown = Shown { samples, targets, attacked: samples.images, eps, branch: 0 };
            let loss = replay(rule, &recipe.objective, network, descent, &mut own, shown, (lr, strength))?;
            *all = if n < rows { Tensor::cat(&[&own, &all.narrow(0, n, rows - n)?], 0)? } else { own };
            return Ok(loss);
        }
        let moment = Moment { time: at, strength, branch: recipe.branch };
        let mut attack = |network: &mut Network| {
            attacked(&recipe.adversary, &mut progress.adapted, network, &[], (samples, targets), moment)
        };
        let attacked = match branches {
            None => attack(network)?,
            Some(branches) => network.through(branches.attacked(), attack)?,
        };
        let occluded = branches.as_mut().map(|branches| branches.occluded(network, samples, targets)).transpose()?;
        let shown = Shown { samples, targets, attacked: &attacked, eps, branch: recipe.branch };
        let objective = &recipe.objective;
        let mut slope = |network: &mut Network, norm: NormMode| {
            if let Some(critic) = critic {
                critic.begin(Domain::reversal(at));
            }
            match (&mut *branches, &occluded) {
                (Some(branches), Some(occluded)) => branches.gradient(network, objective, shown, occluded, norm),
                _ => gradient(objective, network, &[], shown, norm, critic.as_mut()),
            }
        };
        let (loss, slope) = match recipe.awp.filter(|awp| at.epoch >= awp.from) {
            None => slope(network, NormMode::Train)?,
            Some(rule) => {
                let (_, rise) = slope(network, NormMode::TrainNoRecord)?;
                let by = awp::perturbation(&network.weights()?, &rise, &kernels(network), rule.gamma)?;
                drop(rise);
                let moved = (network.weights()? + by)?;
                network.with_weights(&moved, |network| slope(network, NormMode::Train))?
            }
        };
        if let Some(critic) = critic {
            critic.step(lr)?;
        }
        descent.step(network, &slope, lr)?;
        Ok(loss)
    }
}

impl Learner for Trainee {
    fn step(&mut self, batch: &Batch, at: Time) -> Result<f64> {
        let lr = self.recipe.schedule.at(at);
        let strength = self.recipe.ramp.map_or(1.0, |ramp| ramp.at(at));
        let classes = self.network.net().classes();
        let seed = batch.seed.child("mixing");
        let changed = mixed(&self.recipe.augment, &batch.images, &batch.labels, classes, seed)?;
        let images = changed.as_ref().map_or(&batch.images, |changed| &changed.images);
        let shares = changed.as_ref().and_then(|changed| changed.shares.as_deref());
        let targets = shares.map_or(Targets::Hard(&batch.labels), Targets::Soft);
        let samples = Samples { images, labels: &batch.labels, ids: &batch.ids, seed: batch.seed.child("attack") };
        let loss = self.learn(samples, targets, at, lr, strength)?;
        if let Some(average) = &mut self.average {
            average.update(&self.network, at.epoch)?;
        }
        let sums = &mut self.progress.sums;
        sums.steps += 1;
        sums.loss += loss;
        (sums.lr, sums.strength) = (lr, strength);
        Ok(loss)
    }

    fn state(&self) -> Result<State> {
        let (mut tensors, steps) = self.descent.save()?;
        tensors.push(("network", self.network.state().clone()));
        let mut progress = Progress { steps, ..self.progress.clone() };
        if let Some(average) = &self.average {
            tensors.push(("average", average.numbers().clone()));
            progress.updates = average.updates();
        }
        if let Some(delta) = &self.delta {
            tensors.push(("perturbation", delta.clone()));
        }
        if let Some(numbers) = &self.remembered {
            tensors.push(("remembered", numbers.clone()));
        }
        let values = serde_json::to_value(progress);
        let values = values.map_err(|e| Error::Internal(format!("a training's state is no JSON: {e}")))?;
        let mut state = State::new(values, tensors);
        if let Some(critic) = &self.critic {
            state.tensors.extend(critic.save()?);
        }
        Ok(state)
    }

    fn restore(&mut self, mut state: State) -> Result<()> {
        // Before there was more than the network and the momentum, nothing was kept here.
        let values = Some(std::mem::take(&mut state.values)).filter(|values| !values.is_null());
        let progress: Progress = values
            .map(serde_json::from_value)
            .transpose()
            .map_err(|e| Error::Net(format!("the saved state is none of a training: {e}")))?
            .unwrap_or_default();
        self.network.set_state(&state.take("network", self.network.layout().len())?)?;
        self.descent.restore(&mut state, progress.steps)?;
        if let Some(critic) = &mut self.critic {
            critic.restore(&mut state, progress.steps)?;
        }
        if let Some(average) = &mut self.average {
            average.restore(state.take("average", self.network.layout().len())?, progress.updates);
        }
        if let Some(delta) = &mut self.delta {
            *delta = state.take("perturbation", delta.elem_count())?;
        }
        if let Some(numbers) = &mut self.remembered {
            *numbers = state.take("remembered", numbers.elem_count())?;
        }
        let raised = progress.raised;
        self.progress = Progress { raised: self.progress.raised, ..progress };
        self.raise(raised.saturating_sub(self.progress.raised));
        Ok(())
    }
}
