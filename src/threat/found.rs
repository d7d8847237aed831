//! What became of samples under a plan of attacks, one by one.

use crate::units::Tally;

/// What became of the samples, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Right on the clean image.
    pub clean: Vec<bool>,
    /// Under each attack of the plan; `None` for a sample that it was not given.
    pub attacks: Vec<Vec<Option<bool>>>,
    /// Right clean and under every attack: the worst case.
    pub standing: Vec<bool>,
    /// Adversarial images outside ball or box.
    pub outside: u64,
}

impl Found {
    /// Before the first attack: what is right clean is right so far.
    pub fn new(clean: Vec<bool>) -> Self {
        Found { standing: clean.clone(), clean, attacks: Vec::new(), outside: 0 }
    }

    /// Accuracy on clean images.
    pub fn clean(&self) -> Tally {
        tally(self.clean.iter().copied())
    }

    /// Accuracy in the worst case over all attacks.
    pub fn robust(&self) -> Tally {
        tally(self.standing.iter().copied())
    }

    /// The share of all samples that an attack of the plan left right, of those it was given.
    pub fn under(&self, attack: usize) -> Tally {
        tally(self.attacks[attack].iter().map(|s| *s == Some(true)))
    }

    /// The first attack that a sample, by its place, fell to.
    pub fn fell_to(&self, place: usize) -> Option<usize> {
        self.attacks.iter().position(|a| a[place] == Some(false))
    }

    /// Accuracy in the worst case over the attacks up to this one.
    pub fn robust_after(&self, attack: usize) -> Tally {
        let fell = |i: usize| self.attacks[..=attack].iter().any(|a| a[i] == Some(false));
        tally((0..self.clean.len()).map(|i| self.clean[i] && !fell(i)))
    }

    /// How many samples an attack was given.
    pub fn attacked(&self, attack: usize) -> u64 {
        self.attacks[attack].iter().flatten().count() as u64
    }

    /// A digit a sample: 1 where it is right on the clean image.
    pub fn clean_flags(&self) -> String {
        self.clean.iter().map(|right| digit(Some(*right))).collect()
    }

    /// A digit a sample: 1 where it is right clean and under every attack.
    pub fn robust_flags(&self) -> String {
        self.standing.iter().map(|right| digit(Some(*right))).collect()
    }

    /// A digit a sample: 1 where it is right after an attack, 0 where it is wrong, `-` where it was not given.
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

fn tally(hits: impl Iterator<Item = bool>) -> Tally {
    hits.fold(Tally::default(), |mut sum, hit| {
        sum += Tally { hit: u64::from(hit), total: 1 };
        sum
    })
}
