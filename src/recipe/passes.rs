//! What a step consists of, told once: estimates of its time and of its memory are both made of this.

use super::adversary::{Adversary, Ascent, Fosc, FrankWolfe, Free, Pyramid, SingleStep, Statistics};
use super::{Recipe, Selection};
use crate::threat::Loss;

/// A kind of pass over the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Logits.
    Forward,
    /// Gradient in the pixels.
    Input,
    /// Gradient in the weights.
    Weights,
    /// Both gradients at once.
    Both,
}

impl Kind {
    /// Its cost in forward passes: a backward pass takes one for the activations' gradients and one for the weights'.
    pub fn forwards(self) -> f64 {
        match self {
            Kind::Forward => 1.0,
            Kind::Input => 2.0,
            Kind::Weights | Kind::Both => 3.0,
        }
    }
}

/// Passes of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pass {
    /// The kind.
    pub kind: Kind,
    /// What batch-norms do.
    pub statistics: Statistics,
    /// How many of them a step has, at most.
    pub times: u32,
}

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub struct Passes {
    /// Its passes.
    pub list: Vec<Pass>,
    /// Vectors as long as the weights that are held beside the network at once.
    pub vectors: usize,
    /// Batches of images that are held at once.
    pub images: usize,
}

impl Passes {
    /// Its cost in forward passes of the batch.
    pub fn forwards(&self) -> f64 {
        self.list.iter().map(|pass| f64::from(pass.times) * pass.kind.forwards()).sum()
    }

    /// Its cost over that of a step of clean training.
    pub fn relative(&self) -> f64 {
        self.forwards() / Kind::Weights.forwards()
    }
}

impl Recipe {
    /// What a step consists of, at the most it can be: an attack that adapts its steps is counted with as many as it
    /// may take.
    pub fn passes(&self) -> Passes {
        let pass = |kind, statistics, times| Pass { kind, statistics, times };
        let mut list = Vec::new();
        // The clean images; where they are attacked, the attacked ones and their gradient.
        let mut images = if self.adversary == Adversary::None { 1 } else { 3 };
        // The optimiser's vectors, and the gradient.
        let mut vectors = self.optimiser.vectors() + 1;
        if let Adversary::Free(Free { replays, .. }) = self.adversary {
            // And the perturbation.
            images += 1;
            list.push(pass(Kind::Both, Statistics::Train, replays));
        } else {
            list.extend(self.attack());
            let both = self.objective.reads_clean() && self.objective.reads_attacked();
            let learning = if both { 2 } else { 1 };
            let mut objective = vec![pass(Kind::Weights, Statistics::Train, learning)];
            if both {
                vectors += 1;
            }
            if let Some(Selection { occlusion, .. }) = self.selection {
                images += 1;
                list.push(pass(Kind::Input, Statistics::Eval, occlusion.steps));
                // The occluded images, and all three kinds as the network is used.
                objective.push(pass(Kind::Weights, Statistics::Train, 1));
                objective.push(pass(Kind::Weights, Statistics::Eval, 3));
            } else if both {
                objective.push(pass(Kind::Forward, Statistics::Batch, 1));
            }
            if self.objective.alignment > 0.0 {
                images += 3;
                vectors = vectors.max(self.optimiser.vectors() + 3);
                objective.push(pass(Kind::Input, Statistics::Batch, 2));
                objective.push(pass(Kind::Weights, Statistics::Batch, 2));
            }
            if self.awp.is_some() {
                // The gradient that moves the weights is taken as they are, then that of the step where they are moved;
                // the weights as they were wait.
                vectors += 1;
                list.extend(objective.iter().map(|p| Pass { statistics: Statistics::Batch, ..*p }));
            }
            list.extend(objective);
        }
        if self.average.is_some() {
            vectors += 1;
        }
        if self.augment.mixes() {
            images += 1;
        }
        Passes { list, vectors, images }
    }

    /// The passes of the adversary.
    fn attack(&self) -> Vec<Pass> {
        let steps = |times, statistics| vec![Pass { kind: Kind::Input, statistics, times }];
        match self.adversary {
            Adversary::None | Adversary::Free(_) => Vec::new(),
            Adversary::Pgd(Ascent { steps: times, statistics, loss, .. }) => {
                let mut list = steps(times, statistics);
                if loss == Loss::Kl {
                    list.push(Pass { kind: Kind::Forward, statistics, times: 1 });
                }
                list
            }
            Adversary::SingleStep(SingleStep { statistics, .. }) => steps(1, statistics),
            Adversary::FrankWolfe(FrankWolfe { steps: first, monitor, most, statistics, .. }) => {
                steps(if monitor == 0 { first } else { first.max(most) }, statistics)
            }
            Adversary::Fosc(Fosc { steps: times, statistics, .. })
            | Adversary::Pyramid(Pyramid { steps: times, statistics, .. }) => steps(times, statistics),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::preset::preset;

    /// The budget rule of the literature: PGD-K costs K + 1 steps' forward and backward passes, counted here with a
    /// third less for gradients in the pixels alone.
    #[test]
    fn costs_are_those_of_their_passes() {
        for (word, forwards) in [
            ("standard", 3.0),
            ("pgd-10", 23.0),
            ("n-fgsm", 5.0),
            ("trades", 28.0),
            ("mart", 27.0),
            ("gradalign", 15.0),
            ("free", 24.0),
            // The head is not counted: it is as small as the network's last layer.
            ("dial", 28.0),
            // Five steps of the adversary, five of the occlusion, six passes that learn.
            ("multi-bn", 38.0),
        ] {
            assert_eq!(preset(word).unwrap().passes().forwards(), forwards, "{word}");
        }
        let mut awp = preset("trades").unwrap();
        awp.awp = Some(super::super::Awp { gamma: 0.005, from: 10 });
        assert_eq!(awp.passes().forwards(), 35.0);
    }
}
