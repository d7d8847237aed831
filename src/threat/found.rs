//! The results of samples under a plan of attacks, per sample.

use crate::units::Tally;

/// The results of the samples, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Correct on the clean image.
    pub clean: Vec<bool>,
    /// Correct under each attack of the plan; `None` for a sample that it did not get.
    pub attacks: Vec<Vec<Option<bool>>>,
    /// Correct clean and under every attack: the worst case.
    pub standing: Vec<bool>,
    /// Adversarial images outside ball or box.
    pub outside: u64,
}

impl Found {
    /// Before the first attack.
    pub fn new(clean: Vec<bool>) -> Self {
        Found { standing: clean.clone(), clean, attacks: Vec::new(), outside: 0 }
    }

    /// Accuracy on clean images.
    pub fn clean(&self) -> Tally {
        self.clean.iter().copied().collect()
    }

    /// Accuracy in the worst case over all attacks.
    pub fn robust(&self) -> Tally {
        self.standing.iter().copied().collect()
    }

    /// The samples that are correct under an attack of the plan, out of all samples.
    pub fn under(&self, attack: usize) -> Tally {
        self.attacks[attack].iter().map(|s| *s == Some(true)).collect()
    }

    /// The first attack under which a sample, by its position, is misclassified.
    pub fn fell_to(&self, place: usize) -> Option<usize> {
        self.attacks.iter().position(|a| a[place] == Some(false))
    }

    /// Accuracy in the worst case over the attacks up to this one.
    pub fn robust_after(&self, attack: usize) -> Tally {
        let fell = |i: usize| self.attacks[..=attack].iter().any(|a| a[i] == Some(false));
        (0..self.clean.len()).map(|i| self.clean[i] && !fell(i)).collect()
    }

    /// The number of samples that an attack got.
    pub fn attacked(&self, attack: usize) -> u64 {
        self.attacks[attack].iter().flatten().count() as u64
    }

    /// A digit a sample: 1 where it is correct on the clean image.
    pub fn clean_flags(&self) -> String {
        self.clean.iter().map(|right| digit(Some(*right))).collect()
    }

    /// A digit a sample: 1 where it is correct clean and under every attack.
    pub fn robust_flags(&self) -> String {
        self.standing.iter().map(|right| digit(Some(*right))).collect()
    }

    /// A digit a sample: 1 where it is correct under an attack, 0 where it is misclassified, `-` where the attack did not get it.
    pub fn attack_flags(&self, attack: usize) -> String {
        self.attacks[attack].iter().map(|right| digit(*right)).collect()
    }
}

fn digit(right: Option<bool>) -> char {
    match right {
        Some(true) => '1',
        Some(false) => '0',
        None => '-',
    }
}
