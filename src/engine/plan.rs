//! The compiled plan of a network: which kernels run in which order, and where every buffer lives.
//!
//! Only the statistics of batch-norm need the whole batch at once. Everything between two of them is done image by image: a
//! *segment* is a run of steps that one image (or a few small ones) can take alone, and its planes stay in the cache. What is
//! written is written once: a batch-norm is applied by those that read it, its backward pass is a line per channel that the
//! operation before it computes on the way in, and what is added shares its sum's gradient ([`Fusion`]).
//!
//! What is wanted is fixed when the plan is made ([`Wrt`]): a plan for attacks computes no weight gradient, keeps no
//! buffer for one, and visits only nodes that the wanted gradients pass through.

use std::ops::Range;

use super::arena::{BufferId, Place};
use super::call::KernelCall;
use super::fuse::{Choice, Fusion};

/// Which gradients are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wrt {
    /// Of the image.
    pub input: bool,
    /// Of the trainable parameters.
    pub params: bool,
    /// Of the mixing vector.
    pub mix: bool,
}

impl Wrt {
    /// None: the forward pass alone.
    pub const NOTHING: Wrt = Wrt { input: false, params: false, mix: false };
    /// The image alone (attacks).
    pub const INPUT: Wrt = Wrt { input: true, params: false, mix: false };
    /// The trainable parameters alone (weight steps).
    pub const PARAMS: Wrt = Wrt { input: false, params: true, mix: false };
    /// The mixing vector alone (architecture steps).
    pub const MIX: Wrt = Wrt { input: false, params: false, mix: true };
}

/// Whose statistics batch-norms use: it decides how the plan is cut into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Statistics {
    /// The batch's.
    Batch,
    /// The running ones.
    Running,
}

/// What a plan depends on beside the wanted gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Setting {
    /// Whose statistics.
    pub statistics: Statistics,
    /// What the call chooses.
    pub choice: Choice,
}

/// One kernel call.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub node: usize,
    pub action: Action,
    /// The buffers it reads; those that it adds to stand among `writes` alone.
    pub reads: Vec<BufferId>,
    /// The buffers it writes or adds to.
    pub writes: Vec<BufferId>,
    /// The buffers that hold nothing more for the images that have taken the step.
    pub dead: Vec<BufferId>,
}

impl Step {
    pub fn new(node: usize, action: Action) -> Self {
        Step { node, action, reads: Vec::new(), writes: Vec::new(), dead: Vec::new() }
    }
}

/// What a step does for its node.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Computes the value.
    Forward,
    /// The image's moments of a batch-norm's input.
    Moments,
    /// Applies a batch-norm (in place where value and input share a buffer).
    Normalize,
    /// Takes the loss's gradient of the logits.
    LossGradient,
    /// Gradients of inputs and parameters: for every input whether its gradient is added to what is there, and
    /// whether the inputs' values are read.
    Backward { accumulate: Vec<bool>, reads: bool },
    /// The image's sums of a batch-norm's gradient.
    Sums,
    /// The batch-norm's line, into its input's gradient.
    NormBackward { accumulate: bool },
}

/// A short computation over the whole batch, between segments.
#[derive(Clone, Copy, Debug)]
pub(super) enum Merge {
    /// Running statistics into scale and shift.
    Fold(usize),
    /// The images' moments into the batch's statistics, scale and shift.
    Moments(usize),
    /// The images' gradient sums into the line of the backward pass.
    Line(usize),
}

/// Merges, then steps that a few images take alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    pub before: Vec<Merge>,
    /// The buffers that merges read, of all images.
    pub merged: Vec<BufferId>,
    /// The buffers that hold nothing more once the merges are done.
    pub dead_before: Vec<BufferId>,
    pub steps: Vec<Step>,
    /// The buffers that hold nothing more once all images have taken all steps.
    pub dead_behind: Vec<BufferId>,
}

/// Images in the order of execution, where `together` of them take a step at a time: every group takes all steps of a
/// segment before the next one takes the first.
pub(super) fn groups(images: usize, together: usize) -> impl Iterator<Item = Range<usize>> {
    let together = together.max(1);
    (0..images).step_by(together).map(move |first| first..(first + together).min(images))
}

/// Where the gradient of a node's value is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Gradient {
    /// In a place of its own.
    Own(Place),
    /// It is the gradient of the sum that alone reads the value, times a mixing weight where there is one.
    Shared { place: Place, factor: Option<usize> },
    /// It is the line of the batch-norm that alone reads the value.
    Line(usize),
}

/// Where a batch-norm keeps its per-channel numbers in the shared part of the arena.
#[derive(Clone, Debug)]
pub(super) struct NormPlace {
    pub base: usize,
    pub c: usize,
    /// Whether those that read the batch-norm apply it.
    pub lazy: bool,
}

impl NormPlace {
    fn field(&self, k: usize, width: usize) -> Range<usize> {
        let at = self.base + k * self.c;
        at..at + width * self.c
    }
    /// Mean and variance, one after the other.
    pub fn stats(&self) -> Range<usize> {
        self.field(0, 2)
    }
    /// Scale and shift: `y = x scale + shift`.
    pub fn affine(&self) -> Range<usize> {
        self.field(2, 2)
    }
    /// Unit and offset: `xhat = source unit + offset`.
    pub fn unit(&self) -> Range<usize> {
        self.field(4, 2)
    }
    /// Gain, slope and level of the backward line.
    pub fn line(&self) -> Range<usize> {
        self.field(6, 3)
    }
    /// Sums of the gradient.
    pub fn sums(&self) -> Range<usize> {
        self.field(9, 2)
    }
    /// Scalars of one batch-norm per channel.
    pub const FIELDS: usize = 11;
}

/// A compiled network.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) nodes: Vec<KernelCall>,
    pub(super) forward: Vec<Segment>,
    pub(super) backward: Vec<Segment>,
    pub(super) wrt: Wrt,
    pub(super) statistics: Statistics,
    pub(super) fusion: Fusion,
    /// Where every node's value is; a batch-norm that its readers apply has its input's.
    pub(super) value: Vec<Place>,
    pub(super) grad: Vec<Option<Gradient>>,
    /// Where every batch-norm keeps an image's moments and gradient sums.
    pub(super) stats: Vec<Place>,
    pub(super) norms: Vec<Option<NormPlace>>,
    /// Where every buffer is.
    pub(super) places: Vec<Place>,
    /// What is read when everything is done.
    pub(super) results: Vec<BufferId>,
    pub(super) image_len: usize,
    pub(super) shared_len: usize,
    pub(super) trainable: usize,
    pub(super) mix_len: usize,
}

impl Plan {
    /// Scalars of one image's part of the arena.
    pub fn image_len(&self) -> usize {
        self.image_len
    }

    /// Where a buffer is.
    pub(super) fn place(&self, buffer: BufferId) -> Place {
        self.places[buffer.index()]
    }

    /// Weights whose gradient is wanted.
    pub(super) fn weights_len(&self) -> usize {
        self.trainable * usize::from(self.wrt.params)
    }

    /// Mixing weights whose gradient is wanted.
    pub(super) fn mixing_len(&self) -> usize {
        self.mix_len * usize::from(self.wrt.mix)
    }

    /// Gradients that are added up over images: the weights', then the mixing vector's.
    pub(super) fn gathered_len(&self) -> usize {
        self.weights_len() + self.mixing_len()
    }

    /// The batch-norm that must be applied to what stands in a node's place.
    pub(super) fn lazy_norm(&self, node: usize) -> Option<&NormPlace> {
        self.norms[node].as_ref().filter(|n| n.lazy)
    }

    /// Whether a batch-norm writes over its input.
    pub(super) fn in_place(&self, node: usize) -> bool {
        self.lazy_norm(node).is_none()
            && self.nodes[node].inputs.first().is_some_and(|x| self.value[*x] == self.value[node])
    }

    /// Where a node's gradient is written, if something writes it.
    pub(super) fn own_gradient(&self, node: usize) -> Option<Place> {
        match self.grad[node] {
            Some(Gradient::Own(place)) => Some(place),
            _ => None,
        }
    }
}
