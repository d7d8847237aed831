//! One step of the two-stage search: the architecture along its direction, then the weights on adversarial images.
//!
//! Source: arXiv 2212.14049 (stages), its released successor for the step itself, DARTS for the unrolled gradient.
//! Deliberate differences from the released code: adversarial images are clipped to the pixel box; attacks and
//! virtual steps use batch statistics but record none; the architecture half is drawn without replacement in an
//! order of its own; equal gradients do not divide by zero.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::collapse::{Watch, dominant};
use super::derive::{cell_states, rms};
use super::distribution::Alpha;
use super::min_norm::min_norm;
use super::select::Seen;
use crate::arch::families::cells::MixLayout;
use crate::attack::pgd::{pgd, worst_of_restarts};
use crate::attack::{Classifier, Target};
use crate::config::{Collapse, Order, Search};
use crate::data::loader::{Batch, Loader};
use crate::engine::{Gradients, Network, NormMode, Work, Wrt, euclidean_norm};
use crate::error::{Error, Result};
use crate::loss::{Targets, correct, cross_entropy};
use crate::recipe::{Adversary, Time, cosine};
use crate::record::SearchEpoch;
use crate::seed::Seed;
use crate::train::adversary::{Adapted, Moment, attacked};
use crate::train::fit::{Learner, State};
use crate::train::optim::{Adam, Sgd};
use crate::train::work::norm_mode;
use crate::units::Tally;

/// The step of the finite difference for the Hessian-vector product, as a length in weight space (DARTS).
const REACH: f64 = 0.01;

/// The gradients at the virtual weights: of the mixing vector, and of the weights for the Hessian-vector product.
const UNROLLED: Wrt = Wrt { mix: true, params: true, input: false };

/// Sums over the steps of an epoch, part of the saved state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    steps: u32,
    weight_loss: f64,
    arch_steps: u32,
    natural_loss: f64,
    adversarial_loss: f64,
    gamma: f64,
    gammas: u32,
}

/// The state of the search without weights and momentum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchState {
    /// Architecture parameters.
    pub alpha: Alpha,
    adam: Adam,
    sums: Sums,
    #[serde(default)]
    watch: Watch,
}

/// A batch of held-out images, as they are and attacked.
pub struct Shown {
    clean: Tensor,
    attacked: Tensor,
    labels: Vec<u32>,
}

/// The supernet, its weights' optimiser and the architecture parameters.
pub struct Supernet<'a> {
    network: Network,
    sgd: Sgd,
    state: SearchState,
    layout: MixLayout,
    config: Search,
    edges_per_node: usize,
    arch: Loader<'a>,
    arch_order: (u32, Vec<u32>),
    /// The initial architecture parameters.
    origin: Alpha,
}

impl<'a> Supernet<'a> {
    /// A fresh supernet. `arch` loads the architecture half of the data.
    ///
    /// # Errors
    /// [`Error::Usage`] where that half is empty.
    pub fn new(
        network: Network,
        layout: MixLayout,
        config: Search,
        edges_per_node: usize,
        arch: Loader<'a>,
        seed: Seed,
    ) -> Result<Self> {
        if arch.ids.is_empty() {
            return Err(Error::Usage(
                "no image is left for the architecture: lower split.weights_share or raise split.train".into(),
            ));
        }
        let alpha = Alpha::init(&layout, config.arch_init, seed.child("alpha"));
        let adam = Adam::new(config.arch, alpha.0.len());
        let sgd = Sgd::new(config.weights, &network.weights()?)?;
        let arch_order = (0, arch.order(0));
        let origin = alpha.clone();
        let state = SearchState { alpha, adam, sums: Sums::default(), watch: Watch::default() };
        Ok(Supernet { network, sgd, state, layout, config, edges_per_node, arch, arch_order, origin })
    }

    /// The current mixing vector.
    pub fn mix(&self) -> Vec<f64> {
        self.state.alpha.mix(&self.layout)
    }

    /// The edges and operations to choose from.
    pub fn layout(&self) -> &MixLayout {
        &self.layout
    }

    /// The network.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// The small part of the state.
    pub fn learned(&self) -> &SearchState {
        &self.state
    }

    /// The stage an epoch belongs to: 0 while only weights are trained, 1 with the adversarial loss alone, 2 with both.
    pub fn stage(&self, epoch: u32) -> u8 {
        match epoch {
            e if e < self.config.warmup_epochs => 0,
            e if e < self.config.stage_one_epochs => 1,
            _ => 2,
        }
    }

    /// The memory of its steps: the passes of attack, architecture and weights; momentum, and either the weights'
    /// gradient or, of the second order, weights, virtual weights, their gradient and two copies of moved ones; the
    /// images of both halves, the attacked ones that are kept, the gradient of the attack, and the results of two
    /// restarts where there are several.
    pub fn work(&self) -> Work {
        Supernet::work_of(&self.config)
    }

    /// What the steps of a search hold, before there is a supernet.
    pub fn work_of(config: &Search) -> Work {
        let mode = match config.single_step {
            Some(rule) => norm_mode(rule.statistics),
            None => norm_mode(config.attack_norm),
        };
        let mut passes = vec![(Wrt::INPUT, mode), (Wrt::MIX, NormMode::TrainNoRecord), (Wrt::PARAMS, NormMode::Train)];
        let (vectors, images) = match config.order {
            Order::First => (2, 4),
            Order::Second => {
                passes.push((UNROLLED, NormMode::TrainNoRecord));
                (6, 5)
            }
        };
        let restarts = if config.attack.restarts > 1 { 2 } else { 0 };
        Work { batch: config.batch, passes, vectors, images: images + restarts }
    }

    /// The images of a batch under the search's attack.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for logits or gradients that are NaN or infinite.
    pub fn attack(&mut self, batch: &Batch, mix: &[f64]) -> Result<Tensor> {
        let samples = batch.samples(batch.seed.child("attack"));
        if let Some(rule) = self.config.single_step {
            let (adversary, targets) = (Adversary::SingleStep(rule), Targets::Hard(&batch.labels));
            let moment = Moment { time: Time::FIRST, strength: 1.0, branch: 0 };
            return attacked(&adversary, &mut Adapted::default(), &mut self.network, mix, (samples, targets), moment);
        }
        let target = &mut Target { network: &mut self.network, mix, mode: norm_mode(self.config.attack_norm) };
        match self.config.attack.restarts {
            0 | 1 => pgd(target, samples, &self.config.attack),
            _ => worst_of_restarts(target, samples, &self.config.attack),
        }
    }

    /// One step of the weights on some images, their statistics recorded; returns the loss.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for a loss or a gradient that is NaN or infinite; the weights are then unchanged.
    pub fn weight_step(&mut self, images: &Tensor, labels: &[u32], lr: f64) -> Result<f64> {
        let mix = self.mix();
        let found = self
            .network
            .gradients(images, &mix, NormMode::Train, Wrt::PARAMS, &|logits| cross_entropy(logits, labels))?;
        self.sgd.step(&self.network.weights()?, found.weights()?, lr)?;
        Ok(found.loss)
    }

    /// The gradient of the architecture parameters from that of the mixing vector.
    fn through_softmax(&self, mix: &[f64], found: &Gradients) -> Result<Vec<f64>> {
        Ok(Alpha::gradient(&self.layout, mix, found.mixing()?))
    }

    fn first_order(&mut self, x: &Tensor, labels: &[u32], mix: &[f64], scale: f64) -> Result<(f64, Vec<f64>)> {
        let found = gradients(&mut self.network, x, labels, mix, Wrt::MIX)?;
        let grad = self.through_softmax(mix, &found)?.into_iter().map(|g| scale * g).collect();
        Ok((found.loss, grad))
    }

    /// `scale * (d/da L(w*, a; x) - lr * H v)`: `w*` is one virtual step on `train`, `v` the loss's weight gradient at
    /// `w*`, and `H v` the mixed second derivative by central differences of radius `reach / |v|`.
    fn second_order(
        &mut self,
        x: &Tensor,
        labels: &[u32],
        unrolled: &Unrolled<'_>,
        mix: &[f64],
        scale: f64,
    ) -> Result<(f64, Vec<f64>)> {
        let ahead = &unrolled.virtual_weights;
        let found = self.network.with_weights(ahead, |network| gradients(network, x, labels, mix, UNROLLED))?;
        let v = found.weights()?;
        let radius = unrolled.reach / euclidean_norm(v)?.max(1e-12);
        let mut sides = Vec::with_capacity(2);
        for sign in [1.0, -1.0] {
            let moved = (&unrolled.weights + (v * (sign * radius))?)?;
            let Unrolled { train, labels, .. } = *unrolled;
            let side = self.network.with_weights(&moved, |network| gradients(network, train, labels, mix, Wrt::MIX))?;
            sides.push(self.through_softmax(mix, &side)?);
        }
        let direct = self.through_softmax(mix, &found)?;
        let grad = (0..direct.len())
            .map(|i| scale * (direct[i] - unrolled.lr * (sides[0][i] - sides[1][i]) / (2.0 * radius)))
            .collect();
        Ok((found.loss, grad))
    }

    /// One step of the architecture. `train` and its adversarial images are used by the second order alone.
    fn arch_step(&mut self, train: &Batch, adversarial: Option<&Tensor>, at: Time, lr: f64) -> Result<()> {
        let mix = self.mix();
        if self.arch_order.0 != at.epoch || self.arch_order.1.is_empty() {
            self.arch_order = (at.epoch, self.arch.order(u64::from(at.epoch)));
        }
        let step = at.step % self.arch.steps();
        let batch = self.arch.batch(&self.arch_order.1, u64::from(at.epoch), step)?;
        // The same batch comes again when the architecture half is the smaller one; its noise does not.
        let batch = Batch { seed: batch.seed.index(at.step as u64), ..batch };
        let attacked = self.attack(&batch, &mix)?;
        let two = self.stage(at.epoch) == 2;
        let lambda = if two { self.config.lambda } else { 1.0 };
        let (adversarial_loss, g2, natural) = match (self.config.order, adversarial) {
            (Order::Second, Some(train_images)) => {
                let unrolled = self.unroll(train_images, &train.labels, &mix, lr)?;
                let natural = match two {
                    true => Some(self.second_order(&batch.images, &batch.labels, &unrolled, &mix, 1.0)?),
                    false => None,
                };
                let (loss, g2) = self.second_order(&attacked, &batch.labels, &unrolled, &mix, lambda)?;
                (loss, g2, natural)
            }
            _ => {
                let natural = match two {
                    true => Some(self.first_order(&batch.images, &batch.labels, &mix, 1.0)?),
                    false => None,
                };
                let (loss, g2) = self.first_order(&attacked, &batch.labels, &mix, lambda)?;
                (loss, g2, natural)
            }
        };
        let sums = &mut self.state.sums;
        sums.arch_steps += 1;
        sums.adversarial_loss += adversarial_loss;
        let direction = match natural {
            Some((loss, g1)) => {
                let (gamma, direction) = min_norm(&g1, &g2);
                sums.natural_loss += loss;
                sums.gamma += gamma;
                sums.gammas += 1;
                direction
            }
            None => g2,
        };
        self.state.adam.step(&mut self.state.alpha.0, &direction);
        match self.state.alpha.0.iter().find(|a| !a.is_finite()) {
            Some(a) => Err(Error::NotFinite(format!("an architecture parameter became {a}"))),
            None => Ok(()),
        }
    }

    fn unroll<'b>(&mut self, train: &'b Tensor, labels: &'b [u32], mix: &[f64], lr: f64) -> Result<Unrolled<'b>> {
        let weights = self.network.weights()?.copy()?;
        let found = gradients(&mut self.network, train, labels, mix, Wrt::PARAMS)?;
        let gradient = found.weights()?;
        let config = self.config.weights;
        let push = ((self.sgd.momentum() * config.momentum)? + gradient)?;
        let push = (push + (&weights * config.weight_decay)?)?;
        let virtual_weights = (&weights - (push * lr)?)?;
        Ok(Unrolled { weights, virtual_weights, train, labels, lr, reach: REACH })
    }

    /// The images of a loader as they are, and under the search's attack on the present mixture.
    ///
    /// # Errors
    /// Those of [`attack`](Self::attack).
    pub fn shown(&mut self, loader: &Loader<'_>, seed: Seed) -> Result<Vec<Shown>> {
        let mix = self.mix();
        loader.plain().map(|batch| self.show(batch?, &mix, seed)).collect()
    }

    /// A batch as it is and attacked.
    fn show(&mut self, batch: Batch, mix: &[f64], seed: Seed) -> Result<Shown> {
        let batch = Batch { seed, ..batch };
        let attacked = self.attack(&batch, mix)?;
        Ok(Shown { clean: batch.images, attacked, labels: batch.labels })
    }

    /// How the supernet does with a mixture on images, with statistics of the batch.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for logits that are NaN or infinite.
    pub fn see(&mut self, shown: &[Shown], mix: &[f64]) -> Result<Seen> {
        let (mut seen, mut images) = (Seen::default(), 0);
        for Shown { clean, attacked, labels } in shown {
            let mut target = Target { network: &mut self.network, mix, mode: NormMode::TrainNoRecord };
            seen.clean += correct(&target.logits(clean)?, labels).collect();
            let logits = target.logits(attacked)?;
            seen.attacked += correct(&logits, labels).collect();
            seen.loss += cross_entropy(&logits, labels).value * labels.len() as f64;
            images += labels.len();
        }
        seen.loss /= images.max(1) as f64;
        Ok(seen)
    }

    /// The dominant eigenvalue of the Hessian of the loss under attack in the architecture parameters, on a batch.
    fn eigenvalue(&mut self, Shown { attacked, labels, .. }: &Shown, seed: Seed) -> Result<f64> {
        let Supernet { network, layout, state, .. } = self;
        dominant(&state.alpha.0, seed.child("eigenvalue"), &mut |alpha| {
            let mix = Alpha(alpha.to_vec()).mix(layout);
            let found = gradients(network, attacked, labels, &mix, Wrt::MIX)?;
            Ok(Alpha::gradient(layout, &mix, found.mixing()?))
        })
    }

    /// Ends an epoch: its mean losses, and accuracies on probe images.
    ///
    /// Accuracies use batch statistics: the running ones lag behind a mixture that moves with every step.
    ///
    /// # Errors
    /// Those of [`attack`](Self::attack).
    pub fn report(&mut self, epoch: u32, probe: &Loader<'_>, seed: Seed) -> Result<SearchEpoch> {
        let mix = self.mix();
        let (mut clean, mut adversarial, mut first) = (Tally::default(), Tally::default(), None);
        for batch in probe.plain() {
            let shown = self.show(batch?, &mix, seed)?;
            let seen = self.see(std::slice::from_ref(&shown), &mix)?;
            clean += seen.clean;
            adversarial += seen.attacked;
            first.get_or_insert(shown);
        }
        let stage = self.stage(epoch);
        let moved = stage > 0 && !self.state.watch.stays();
        let eigenvalue = match (self.config.collapse, &first) {
            (Some(Collapse { eigenvalue: Some(_), .. }), Some(shown)) if moved => Some(self.eigenvalue(shown, seed)?),
            _ => None,
        };
        let sums = std::mem::take(&mut self.state.sums);
        let mean = |sum: f64, n: u32| (n > 0).then(|| sum / f64::from(n));
        let apart: Vec<f64> = self.state.alpha.0.iter().zip(&self.origin.0).map(|(a, b)| a - b).collect();
        let cells = cell_states(&self.layout, &mix, self.edges_per_node, &apart);
        let back = match &self.config.collapse {
            Some(collapse) if moved => {
                self.state.watch.epoch(collapse, &cells, eigenvalue, (&self.state.alpha, &self.origin))
            }
            _ => None,
        };
        let collapsed = back.is_some();
        if let Some(alpha) = back {
            self.state.alpha = alpha;
        }
        Ok(SearchEpoch {
            epoch: epoch + 1,
            stage,
            weight_loss: sums.weight_loss / f64::from(sums.steps.max(1)),
            natural_loss: mean(sums.natural_loss, sums.gammas),
            adversarial_loss: mean(sums.adversarial_loss, sums.arch_steps),
            gamma: mean(sums.gamma, sums.gammas),
            clean,
            adversarial,
            alpha_moved: Some(rms(&apart)),
            random_walk: Some(self.state.adam.random_walk()),
            cells,
            eigenvalue,
            collapsed,
        })
    }
}

/// Loss and gradients on some images, statistics of the batch, nothing recorded.
fn gradients(network: &mut Network, x: &Tensor, labels: &[u32], mix: &[f64], wrt: Wrt) -> Result<Gradients> {
    network.gradients(x, mix, NormMode::TrainNoRecord, wrt, &|logits| cross_entropy(logits, labels))
}

/// The virtual step that both objectives of the second order share.
struct Unrolled<'a> {
    weights: Tensor,
    virtual_weights: Tensor,
    train: &'a Tensor,
    labels: &'a [u32],
    lr: f64,
    reach: f64,
}

impl Learner for Supernet<'_> {
    fn step(&mut self, batch: &Batch, at: Time) -> Result<f64> {
        let lr = cosine(self.config.weights.lr, self.config.weights.lr_min, f64::from(at.epoch), self.config.epochs);
        let moves = self.stage(at.epoch) > 0 && !self.state.watch.stays();
        let attacked = match (moves, self.config.order) {
            // The unrolled step and the weight step train on the same adversarial images.
            (true, Order::Second) => {
                let attacked = self.attack(batch, &self.mix())?;
                self.arch_step(batch, Some(&attacked), at, lr)?;
                attacked
            }
            (true, Order::First) => {
                self.arch_step(batch, None, at, lr)?;
                self.attack(batch, &self.mix())?
            }
            (false, _) => self.attack(batch, &self.mix())?,
        };
        let loss = self.weight_step(&attacked, &batch.labels, lr)?;
        self.state.sums.steps += 1;
        self.state.sums.weight_loss += loss;
        Ok(loss)
    }

    fn state(&self) -> Result<State> {
        let values = serde_json::to_value(&self.state);
        let values = values.map_err(|e| Error::Internal(format!("a search's state is no JSON: {e}")))?;
        let vectors = vec![("network", self.network.state().clone()), ("momentum", self.sgd.momentum().clone())];
        Ok(State::new(values, vectors))
    }

    fn restore(&mut self, mut saved: State) -> Result<()> {
        let state: SearchState = serde_json::from_value(std::mem::take(&mut saved.values))
            .map_err(|e| Error::Net(format!("the saved state is none of a search: {e}")))?;
        if [state.alpha.0.len(), state.adam.len()] != [self.layout.len(); 2] {
            return Err(Error::Net("the saved search has another number of choices".into()));
        }
        self.network.set_state(&saved.take("network", self.network.layout().len())?)?;
        self.sgd.set_momentum(saved.take("momentum", self.network.layout().trainable())?);
        self.state = state;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::cell::CellOp;
    use crate::arch::families::cells::{MixEdge, MixKind, Placement, Skeleton, supernet};
    use crate::arch::op::Shape;
    use crate::config::strategy::Method;
    use crate::data::{Images, Source};
    use crate::engine::Fusion;
    use crate::recipe::{Adam as AdamConfig, Sgd as SgdConfig, preset};
    use crate::threat::{AttackNorm, Pgd};
    use crate::units::Fraction;
    use candle_core::{DType, Device};

    const IMAGE: Shape = Shape::new(32, 32, 3);

    fn layout(nodes: usize, ops: &[CellOp]) -> MixLayout {
        let mut offset = 0;
        let kinds = ["accurate", "reduce", "robust"].map(|kind| MixKind {
            kind: kind.into(),
            nodes,
            edges: (2..2 + nodes)
                .flat_map(|to| (0..to).map(move |from| (from, to)))
                .map(|(from, to)| {
                    offset += ops.len();
                    MixEdge { from, to, ops: ops.to_vec(), offset: offset - ops.len() }
                })
                .collect(),
            concat: (2..2 + nodes).collect(),
        });
        MixLayout { kinds: kinds.to_vec(), partial: 1 }
    }

    /// One node, four operations.
    fn small() -> MixLayout {
        layout(1, &[CellOp::AvgPool(3), CellOp::SkipConnect, CellOp::SepConv(3), CellOp::DilConv(3)])
    }

    /// The paper's cells.
    fn whole() -> MixLayout {
        let ops = [CellOp::MaxPool(3), CellOp::AvgPool(3), CellOp::SkipConnect, CellOp::SepConv(3), CellOp::SepConv(5)];
        layout(4, &[&ops[..], &[CellOp::DilConv(3), CellOp::DilConv(5)]].concat())
    }

    fn config(order: Order, lr: f64) -> Search {
        Search {
            strategy: Method::TwoStage,
            trials: None,
            epochs: 1,
            stage_one_epochs: 0,
            warmup_epochs: 0,
            batch: 4,
            order,
            lambda: 0.5,
            attack: Pgd::new(Fraction::of_255(8), Fraction::of_255(4), 1),
            attack_norm: AttackNorm::Batch,
            single_step: None,
            collapse: None,
            weights: SgdConfig { lr, lr_min: lr, momentum: 0.9, weight_decay: 3e-4, clip: 5.0 },
            arch: AdamConfig { lr: 0.1, beta1: 0.5, beta2: 0.999, weight_decay: 1e-3 },
            arch_init: 0.1,
            probe: 4,
        }
    }

    fn subject<'a>(images: &'a Images, ids: &'a [u32], dtype: DType, config: Search) -> Supernet<'a> {
        of_size((3, small()), images, ids, dtype, config)
    }

    fn of_size<'a>(
        (cells, layout): (usize, MixLayout),
        images: &'a Images,
        ids: &'a [u32],
        dtype: DType,
        config: Search,
    ) -> Supernet<'a> {
        let cells = Placement::dsara().row(4, cells).unwrap();
        let skeleton =
            Skeleton { image: IMAGE, classes: 10, normalize: None, stem: 4, stem_kind: Default::default(), cells };
        let net = supernet(&skeleton, &layout).unwrap();
        let network = Network::with(net, Seed::root(3), &Device::Cpu, dtype, Fusion::ALL).unwrap();
        let arch = loader(images, ids);
        Supernet::new(network, layout, config, 1, arch, Seed::root(4)).unwrap()
    }

    fn loader<'a>(images: &'a Images, ids: &'a [u32]) -> Loader<'a> {
        Loader::new(images, IMAGE, ids, 4, Seed::root(5), &Device::Cpu)
    }

    /// Images and labels in double precision: four to train on, four to validate.
    fn halves(images: &Images, ids: &[u32]) -> [(Tensor, Vec<u32>); 2] {
        [&ids[..4], &ids[4..8]].map(|ids| {
            let batch = loader(images, ids).plain().next().unwrap().unwrap();
            (batch.images.to_dtype(DType::F64).unwrap(), batch.labels)
        })
    }

    /// The loss on the validation images after a virtual step from some weights on those to train on.
    fn unrolled_loss(
        s: &mut Supernet<'_>,
        weights: &Tensor,
        (xt, yt): (&Tensor, &[u32]),
        (xv, yv): (&Tensor, &[u32]),
        lr: f64,
    ) -> f64 {
        s.network.set_weights(weights).unwrap();
        let mix = s.mix();
        let unrolled = s.unroll(xt, yt, &mix, lr).unwrap();
        s.network.set_weights(&unrolled.virtual_weights).unwrap();
        gradients(&mut s.network, xv, yv, &mix, Wrt::MIX).unwrap().loss
    }

    /// The unrolled gradient against central differences of what it is the gradient of: the loss on one batch after a
    /// virtual step on another, in double precision. Both differences are taken over tiny distances: a ReLU's kink
    /// between their sides, of which the usual reach crosses many, would count as curvature.
    #[test]
    fn second_order_is_the_gradient_of_the_unrolled_loss() {
        let data = Source::Synthetic.load().unwrap();
        let ids: Vec<u32> = (0..8).collect();
        let lr = 0.05;
        let mut s = subject(&data.train, &ids, DType::F64, config(Order::Second, lr));
        let [(xt, yt), (xv, yv)] = halves(&data.train, &ids);
        let mix = s.mix();
        let unrolled = Unrolled { reach: 1e-6, ..s.unroll(&xt, &yt, &mix, lr).unwrap() };
        let (_, grad) = s.second_order(&xv, &yv, &unrolled, &mix, 1.0).unwrap();
        let weights = unrolled.weights.copy().unwrap();
        let alpha = s.state.alpha.0.clone();
        let mut value = |i: usize, h: f64| {
            s.state.alpha.0.clone_from(&alpha);
            s.state.alpha.0[i] += h;
            unrolled_loss(&mut s, &weights, (&xt, &yt), (&xv, &yv), lr)
        };
        let scale = grad.iter().fold(0f64, |m, g| m.max(g.abs()));
        for i in (0..grad.len()).step_by(3) {
            let numeric = (value(i, 1e-6) - value(i, -1e-6)) / 2e-6;
            assert!((numeric - grad[i]).abs() < 1e-4 * scale, "alpha[{i}]: {} against {numeric}", grad[i]);
        }
    }

    /// The same of a supernet of five of the paper's cells, along random directions of the architecture: its parameters
    /// are many, and every value takes two passes of the whole network.
    #[test]
    fn second_order_of_a_whole_supernet() {
        let data = Source::Synthetic.load().unwrap();
        let ids: Vec<u32> = (0..8).collect();
        let lr = 0.05;
        let mut s = of_size((5, whole()), &data.train, &ids, DType::F64, config(Order::Second, lr));
        let [(xt, yt), (xv, yv)] = halves(&data.train, &ids);
        let mix = s.mix();
        let unrolled = Unrolled { reach: 1e-7, ..s.unroll(&xt, &yt, &mix, lr).unwrap() };
        let (_, grad) = s.second_order(&xv, &yv, &unrolled, &mix, 1.0).unwrap();
        let (_, first) = s.first_order(&xv, &yv, &mix, 1.0).unwrap();
        let (weights, alpha) = (unrolled.weights.copy().unwrap(), s.state.alpha.0.clone());
        let size = grad.iter().map(|g| g * g).sum::<f64>().sqrt();
        let apart = grad.iter().zip(&first).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        assert!(apart > 0.01 * size, "the second order says nothing that the first does not");
        for direction in 0..3 {
            let mut stream = Seed::root(9).index(direction).stream();
            let along: Vec<f64> = alpha.iter().map(|_| f64::from(stream.normal())).collect();
            let slope: f64 = grad.iter().zip(&along).map(|(g, d)| g * d).sum();
            let mut value = |h: f64| {
                s.state.alpha.0 = alpha.iter().zip(&along).map(|(a, d)| a + h * d).collect();
                unrolled_loss(&mut s, &weights, (&xt, &yt), (&xv, &yv), lr)
            };
            // Kinks cost a large step its accuracy and rounding a small one.
            let found = [1e-6, 1e-7, 1e-8].map(|h| (value(h) - value(-h)) / (2.0 * h));
            assert!(found.iter().any(|n| (n - slope).abs() < 2e-3 * size), "{slope} against {found:?}");
        }
    }

    /// Without a virtual step both orders are one.
    #[test]
    fn orders_agree_at_learning_rate_zero() {
        let data = Source::Synthetic.load().unwrap();
        let ids: Vec<u32> = (0..8).collect();
        let alphas = [Order::First, Order::Second].map(|order| {
            let mut s = subject(&data.train, &ids, DType::F32, config(order, 0.0));
            let train = loader(&data.train, &ids);
            let batch = train.batch(&train.order(0), 0, 0).unwrap();
            s.step(&batch, Time::FIRST).unwrap();
            s.state.alpha.0.clone()
        });
        for (a, b) in alphas[0].iter().zip(&alphas[1]) {
            assert!((a - b).abs() < 1e-9, "{a} against {b}");
        }
    }

    /// Stage one follows the adversarial loss alone, stage two counts both.
    #[test]
    fn stages_follow_their_losses() {
        let data = Source::Synthetic.load().unwrap();
        let ids: Vec<u32> = (0..8).collect();
        for (stage_one_epochs, natural) in [(1, false), (0, true)] {
            let config = Search { stage_one_epochs, ..config(Order::First, 0.01) };
            let mut s = subject(&data.train, &ids, DType::F32, config);
            let train = loader(&data.train, &ids);
            let batch = train.batch(&train.order(0), 0, 0).unwrap();
            s.step(&batch, Time::FIRST).unwrap();
            let report = s.report(0, &train, Seed::root(9)).unwrap();
            assert_eq!((report.natural_loss.is_some(), report.gamma.is_some()), (natural, natural));
            assert!(report.adversarial_loss.is_some());
            assert_eq!(report.clean.total, 8);
        }
    }

    /// The first step of Adam is one learning rate long in every parameter, as that of a random walk is.
    #[test]
    fn an_epoch_tells_how_far_the_architecture_moved() {
        let data = Source::Synthetic.load().unwrap();
        let ids: Vec<u32> = (0..8).collect();
        let mut s = subject(&data.train, &ids, DType::F32, config(Order::First, 0.01));
        let train = loader(&data.train, &ids);
        let still = s.report(0, &train, Seed::root(9)).unwrap();
        assert_eq!((still.alpha_moved, still.random_walk), (Some(0.0), Some(0.0)));
        s.step(&train.batch(&train.order(0), 0, 0).unwrap(), Time::FIRST).unwrap();
        let moved = s.report(0, &train, Seed::root(9)).unwrap();
        let (moved, walk) = (moved.alpha_moved.unwrap(), moved.random_walk.unwrap());
        assert_eq!(walk, 0.1);
        assert!((moved - walk).abs() < 0.01, "{moved}");
    }

    /// FGSM, RS-FGSM and N-FGSM attack the supernet as they attack a network in training, and the step behind them moves
    /// weights and architecture. Second order, so that every kind of pass is made.
    #[test]
    fn every_single_step_method_trains_the_supernet() {
        let data = Source::Synthetic.load().unwrap();
        let ids: Vec<u32> = (0..8).collect();
        let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let mut seen: Vec<Vec<f32>> = Vec::new();
        for word in ["fgsm", "rs-fgsm", "n-fgsm"] {
            let Adversary::SingleStep(rule) = preset(word).unwrap().adversary else {
                panic!("{word} is no single step")
            };
            let config = Search { single_step: Some(rule), ..config(Order::Second, 0.01) };
            let mut s = subject(&data.train, &ids, DType::F32, config);
            let batch = loader(&data.train, &ids).plain().next().unwrap().unwrap();
            let mix = s.mix();
            let found = s.attack(&batch, &mix).unwrap();
            let far = (&found - &batch.images).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            let most = rule.eps.value() * (rule.noise.value() + rule.step.value());
            let most = if rule.project { rule.eps.value() } else { most };
            assert!(far > 0.9 * 8.0 / 255.0 && f64::from(far) < most + 1e-6, "{word}: {far}");
            let found = numbers(&found);
            assert!(found.iter().all(|v| (0.0..=1.0).contains(v)) && !seen.contains(&found), "{word}");
            seen.push(found);
            let (weights, alpha) = (numbers(&s.network.weights().unwrap()), s.state.alpha.clone());
            let loss = s.step(&batch, Time::FIRST).unwrap();
            assert!(loss.is_finite() && s.state.alpha != alpha, "{word}");
            assert!(numbers(&s.network.weights().unwrap()) != weights, "{word}");
        }
    }

    /// The eigenvalue is told behind an epoch whose architecture moved, where it is asked for.
    #[test]
    fn the_eigenvalue_is_told_where_it_is_asked_for() {
        let data = Source::Synthetic.load().unwrap();
        let ids: Vec<u32> = (0..8).collect();
        for (eigenvalue, warmup_epochs, told) in [(Some(0.75), 0, true), (None, 0, false), (Some(0.75), 1, false)] {
            let collapse = Some(Collapse { weightless: Some(1.0), eigenvalue });
            let config = Search { collapse, warmup_epochs, ..config(Order::First, 0.01) };
            let mut s = subject(&data.train, &ids, DType::F32, config);
            let train = loader(&data.train, &ids);
            s.step(&train.batch(&train.order(0), 0, 0).unwrap(), Time::FIRST).unwrap();
            let found = s.report(0, &train, Seed::root(9)).unwrap().eigenvalue;
            assert_eq!(found.is_some_and(f64::is_finite), told, "{found:?}");
        }
    }

    /// A search that must not have operations without weights at all collapses at its first step and goes back.
    #[test]
    fn a_collapsed_search_goes_back_and_stays() {
        let data = Source::Synthetic.load().unwrap();
        let ids: Vec<u32> = (0..8).collect();
        let collapse = Some(Collapse { weightless: Some(1e-9), eigenvalue: None });
        let mut s = subject(&data.train, &ids, DType::F32, Search { collapse, ..config(Order::First, 0.01) });
        let train = loader(&data.train, &ids);
        let batch = train.batch(&train.order(0), 0, 0).unwrap();
        // Average pools win on the first edge of every cell.
        s.state.alpha.0.iter_mut().step_by(4).for_each(|a| *a += 3.0);
        let begun = s.state.alpha.clone();
        s.origin.clone_from(&begun);
        s.step(&batch, Time::FIRST).unwrap();
        assert_ne!(s.state.alpha, begun);
        assert!(s.report(0, &train, Seed::root(9)).unwrap().collapsed);
        assert_eq!(s.state.alpha, begun);
        s.step(&batch, Time::FIRST).unwrap();
        assert_eq!(s.state.alpha, begun);
        assert!(!s.report(0, &train, Seed::root(9)).unwrap().collapsed);
    }

    /// Every start counts, not the first alone.
    #[test]
    fn the_attack_makes_its_restarts() {
        let data = Source::Synthetic.load().unwrap();
        let ids: Vec<u32> = (0..8).collect();
        let of = |restarts: u32| {
            let one = config(Order::First, 0.01);
            let config = Search { attack: Pgd { restarts, ..one.attack }, attack_norm: AttackNorm::Eval, ..one };
            let mut s = subject(&data.train, &ids, DType::F32, config);
            let batch = loader(&data.train, &ids).plain().next().unwrap().unwrap();
            let mix = s.mix();
            let found = s.attack(&batch, &mix).unwrap();
            let samples = batch.samples(batch.seed.child("attack"));
            let target = &mut Target { network: &mut s.network, mix: &mix, mode: NormMode::Eval };
            let all = worst_of_restarts(target, samples, &config.attack).unwrap();
            let first = pgd(target, samples, &config.attack).unwrap();
            [found, all, first].map(|x| x.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        let [found, _, first] = of(1);
        assert_eq!(found, first);
        let [found, all, first] = of(3);
        assert_eq!(found, all);
        assert_ne!(found, first);
    }
}
