//! Training of shared weights: at every step one network takes its slices, learns from the batch, and puts them back.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Store, path};
use crate::arch::cost::cost;
use crate::arch::families::cells::{MixLayout, Skeleton};
use crate::arch::genotype::Genotype;
use crate::arch::net::Net;
use crate::data::loader::Batch;
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::recipe::{Recipe, Time};
use crate::seed::Seed;
use crate::train::fit::{Learner, State};
use crate::train::trainee::Trainee;

/// Networks that are drawn for a step before none is taken to fit.
const ATTEMPTS: u64 = 100;

/// The vector of weights, beside those that the optimiser keeps of each.
const WEIGHTS: &str = "weights";

/// What a trainee calls its network's numbers.
const NETWORK: &str = "network";

/// A genotype at its size.
#[derive(Clone, Debug)]
pub struct SizedNet {
    /// Where the cells stand, and how wide.
    pub skeleton: Skeleton,
    /// The network.
    pub net: Net,
}

/// The size of a genotype; an [`Error::Impossible`] where it has none.
pub type Size<'a> = &'a dyn Fn(&Genotype) -> Result<SizedNet>;

/// What is kept beside the vectors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Progress {
    /// What the recipe keeps from step to step that is no vector.
    trainee: Value,
    /// Multiply-accumulates of one image through the network of each step, added up.
    macs: u64,
}

/// Shared weights in training.
pub struct SinglePath<'a> {
    store: Store,
    /// Vectors as long as the store: the weights and what the optimiser keeps of each.
    vectors: BTreeMap<String, Vec<f32>>,
    /// Vectors of other lengths that the recipe keeps, such as free training's perturbation.
    others: BTreeMap<String, Tensor>,
    progress: Progress,
    /// The network of the last step, for its working memory.
    done: Option<Network>,
    recipe: Recipe,
    layout: MixLayout,
    edges_per_node: usize,
    size: Size<'a>,
    seed: Seed,
}

impl<'a> SinglePath<'a> {
    /// Fresh shared weights for networks up to some sizes ([`Store::new`]), trained by a recipe without its average, which
    /// weights that few steps touch do not have.
    ///
    /// # Errors
    /// [`Error::Net`] for a skeleton that does not fit the layout.
    pub fn new(
        largest: &[Skeleton],
        layout: MixLayout,
        edges_per_node: usize,
        recipe: &Recipe,
        size: Size<'a>,
        seed: Seed,
    ) -> Result<Self> {
        let (store, fresh) = Store::new(largest, &layout, seed.child("weights"))?;
        let recipe = Recipe { average: None, ..recipe.clone() };
        let vectors = BTreeMap::from([(WEIGHTS.to_owned(), fresh)]);
        let (others, progress, seed) = (BTreeMap::new(), Progress::default(), seed.child("paths"));
        let mut shared =
            SinglePath { store, vectors, others, progress, done: None, recipe, layout, edges_per_node, size, seed };
        // What the recipe keeps is known from any network; it begins with nothing.
        let (network, places) = shared.drawn(0)?;
        let kept = Trainee::new(network, shared.recipe.clone(), shared.seed)?.state()?.tensors;
        for (name, tensor) in kept.into_iter().filter(|(name, _)| name != NETWORK) {
            if tensor.elem_count() == places.len() {
                shared.vectors.insert(name, vec![0.0; shared.store.len()]);
            } else {
                shared.others.insert(name, tensor);
            }
        }
        Ok(shared)
    }

    /// Multiply-accumulates of one image through the network of each step so far, added up.
    pub fn macs(&self) -> u64 {
        self.progress.macs
    }

    /// Takes up weights that were trained earlier.
    ///
    /// # Errors
    /// [`Error::Net`] for another number of them.
    pub fn set_weights(&mut self, weights: Vec<f32>) -> Result<()> {
        if weights.len() != self.store.len() {
            let (got, want) = (weights.len(), self.store.len());
            return Err(Error::Net(format!("{got} shared weights, expected {want}")));
        }
        self.vectors.insert(WEIGHTS.to_owned(), weights);
        Ok(())
    }

    /// All shared weights.
    pub fn weights(&self) -> &[f32] {
        &self.vectors[WEIGHTS]
    }

    /// A network with its slices of the weights; its running statistics are fresh.
    ///
    /// # Errors
    /// [`Error::Impossible`] for a genotype without a size; [`Error::Net`] for a network larger than the store.
    pub fn inherit(&self, genotype: &Genotype) -> Result<(Network, Vec<u32>)> {
        let SizedNet { skeleton, net } = (self.size)(genotype)?;
        let mut network = Network::new(net, self.seed, &Device::Cpu)?;
        let places = self.store.places(&skeleton, genotype, network.layout())?;
        network.set_weights(&gathered(self.weights(), &places)?)?;
        Ok((network, places))
    }

    /// The network of a step: the first that is drawn and fits.
    fn drawn(&self, step: u64) -> Result<(Network, Vec<u32>)> {
        let mut why = String::new();
        for attempt in 0..ATTEMPTS {
            let genotype = path(&self.layout, self.edges_per_node, step, attempt, self.seed);
            match self.inherit(&genotype) {
                Err(Error::Impossible(reason) | Error::Net(reason)) => why = reason,
                other => return other,
            }
        }
        Err(Error::Impossible(format!("none of {ATTEMPTS} networks drawn for a step has a size; the last: {why}")))
    }
}

/// The values at some places.
fn gathered(values: &[f32], places: &[u32]) -> Result<Tensor> {
    let own: Vec<f32> = places.iter().map(|place| values[*place as usize]).collect();
    Ok(Tensor::from_vec(own, places.len(), &Device::Cpu)?)
}

impl Learner for SinglePath<'_> {
    fn step(&mut self, batch: &Batch, at: Time) -> Result<f64> {
        let step = u64::from(at.epoch) * at.steps as u64 + at.step as u64;
        let (network, places) = self.drawn(step)?;
        let macs = cost(network.net()).macs.0;
        let network = match self.done.take() {
            Some(done) => network.in_place_of(done),
            None => network,
        };
        let mut trainee = Trainee::new(network, self.recipe.clone(), self.seed)?;
        let mut state = trainee.state()?;
        for (name, tensor) in &mut state.tensors {
            if let Some(known) = self.vectors.get(name) {
                *tensor = gathered(known, &places)?;
            } else if let Some(known) = self.others.get(name) {
                *tensor = known.clone();
            }
        }
        if !self.progress.trainee.is_null() {
            state.values = self.progress.trainee.clone();
        }
        trainee.restore(state)?;
        let loss = trainee.step(batch, at)?;
        let weights = trainee.network().weights()?;
        let State { values, tensors } = trainee.state()?;
        let learned = tensors.into_iter().filter(|(name, _)| name != NETWORK);
        for (name, tensor) in learned.chain([(WEIGHTS.to_owned(), weights)]) {
            match self.vectors.get_mut(&name) {
                Some(all) => {
                    let own: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
                    places.iter().zip(own).for_each(|(place, value)| all[*place as usize] = value);
                }
                None => drop(self.others.insert(name, tensor.copy()?)),
            }
        }
        self.progress.trainee = values;
        self.progress.macs += macs;
        self.done = Some(trainee.into_network()?);
        Ok(loss)
    }

    fn state(&self) -> Result<State> {
        let values = serde_json::to_value(&self.progress)
            .map_err(|e| Error::Internal(format!("the state of shared weights is no JSON: {e}")))?;
        let mut tensors = Vec::new();
        for (name, values) in &self.vectors {
            tensors.push((name.clone(), Tensor::from_slice(values, values.len(), &Device::Cpu)?));
        }
        tensors.extend(self.others.iter().map(|(name, tensor)| (name.clone(), tensor.clone())));
        Ok(State { values, tensors })
    }

    fn restore(&mut self, saved: State) -> Result<()> {
        let State { values, tensors } = saved;
        self.progress = serde_json::from_value(values)
            .map_err(|e| Error::Net(format!("the saved state is none of shared weights: {e}")))?;
        (self.vectors, self.others) = (BTreeMap::new(), BTreeMap::new());
        for (name, tensor) in tensors {
            if tensor.elem_count() == self.store.len() {
                self.vectors.insert(name, tensor.flatten_all()?.to_vec1()?);
            } else {
                self.others.insert(name, tensor);
            }
        }
        if self.vectors.contains_key(WEIGHTS) {
            return Ok(());
        }
        Err(Error::Net(format!("the saved state has no {} shared `{WEIGHTS}`", self.store.len())))
    }
}
