//! Checks on a robust accuracy, a closed list. `docs/attacks.md` has a section for each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A sign that an attack was blind, or that a robust accuracy has another meaning than it seems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The loss has a zero input gradient on many samples: the attack was blind.
    ZeroGradient,
    /// A one-step attack left fewer samples correct than many steps did: gradients mislead.
    MoreStepsNotStronger,
    /// Two passes over the same images disagreed.
    RandomOutput,
    /// The outputs are probabilities, not logits: losses on them are flat.
    Probabilities,
    /// An attack without gradients fooled samples that attacks with gradients could not.
    BlackBoxStronger,
    /// A ball that holds nearly every image left many samples correctly classified.
    LargerEpsNotStronger,
    /// An attack in a ball of radius zero changed images or answers.
    ZeroEpsDiffers,
    /// The loss did not rise along projected gradient ascent.
    LossNotRising,
    /// An adversarial image was outside its ball or the box.
    OutOfBounds,
    /// The right answers are all images of one class and no other: the network answers that class for every image.
    ConstantAnswer,
    /// The clean accuracy is not above that of the best constant answer, within its 95 % interval.
    CleanAtChance,
}

impl Check {
    /// All of them.
    pub const ALL: [Check; 11] = [
        Check::ZeroGradient,
        Check::MoreStepsNotStronger,
        Check::RandomOutput,
        Check::Probabilities,
        Check::BlackBoxStronger,
        Check::LargerEpsNotStronger,
        Check::ZeroEpsDiffers,
        Check::LossNotRising,
        Check::OutOfBounds,
        Check::ConstantAnswer,
        Check::CleanAtChance,
    ];

    /// The name in files: `zero_gradient`.
    pub fn word(self) -> &'static str {
        match self {
            Check::ZeroGradient => "zero_gradient",
            Check::MoreStepsNotStronger => "more_steps_not_stronger",
            Check::RandomOutput => "random_output",
            Check::Probabilities => "probabilities",
            Check::BlackBoxStronger => "black_box_stronger",
            Check::LargerEpsNotStronger => "larger_eps_not_stronger",
            Check::ZeroEpsDiffers => "zero_eps_differs",
            Check::LossNotRising => "loss_not_rising",
            Check::OutOfBounds => "out_of_bounds",
            Check::ConstantAnswer => "constant_answer",
            Check::CleanAtChance => "clean_at_chance",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
