//! Randomness: one run seed, named child seeds, and nothing else.
//!
//! A child depends on its parent and its name alone, so a stream is the same whatever ran before it: results do not
//! depend on batch size, order, thread count or on where a run was resumed.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A point in the tree of seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The root of a run's tree, from the number that the user gave.
    pub fn root(run: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"robustnas/seed/1");
        hash.update(run.to_le_bytes());
        Seed(hash.finalize().into())
    }

    /// The child called `name`.
    pub fn child(&self, name: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(name.as_bytes());
        Seed(hash.finalize().into())
    }

    /// The `index`-th child: an epoch, a step, a sample.
    pub fn index(&self, index: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(b"#");
        hash.update(index.to_le_bytes());
        Seed(hash.finalize().into())
    }

    /// A generator at the start of this seed's stream.
    pub fn stream(&self) -> Stream {
        Stream(ChaCha8Rng::from_seed(self.0))
    }
}

/// A stream of random numbers; ChaCha8, whose output is fixed across versions and machines.
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// Uniform in `[0, 1)` with 24 bits, exact in 32-bit floats.
    pub fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 * (1.0 / (1u32 << 24) as f32)
    }

    /// Uniform in `[lo, hi)`.
    pub fn uniform_in(&mut self, lo: f32, hi: f32) -> f32 {
        lo + (hi - lo) * self.uniform()
    }

    /// Uniform integer in `0..bound`, unbiased. `bound` must be positive.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        let zone = u64::MAX - u64::MAX % bound;
        loop {
            let v = self.0.next_u64();
            if v < zone {
                return (v % bound) as usize;
            }
        }
    }

    /// A fair coin.
    pub fn coin(&mut self) -> bool {
        self.0.next_u32() & 1 == 1
    }

    /// Standard normal (Box-Muller, cosine branch).
    pub fn normal(&mut self) -> f32 {
        let u = (f64::from(self.0.next_u32()) + 1.0) / 4_294_967_296.0;
        let v = f64::from(self.0.next_u32()) / 4_294_967_296.0;
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    }

    /// An index drawn with the given non-negative weights; they need not sum to one.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let total: f64 = weights.iter().sum();
        let mut at = f64::from(self.uniform()) * total;
        for (i, w) in weights.iter().enumerate() {
            at -= w;
            if at < 0.0 {
                return i;
            }
        }
        weights.len() - 1
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_distinct_and_repeatable() {
        let root = Seed::root(7);
        assert_eq!(root.child("a"), Seed::root(7).child("a"));
        assert_ne!(root.child("a"), root.child("b"));
        assert_ne!(root.index(0), root.index(1));
        assert_ne!(Seed::root(7), Seed::root(8));
    }

    /// The stream is part of the format: the same seed must give the same run in every later version.
    #[test]
    fn stream_is_pinned() {
        let mut s = Seed::root(0).stream();
        let first: Vec<usize> = (0..4).map(|_| s.below(1000)).collect();
        assert_eq!(first, PINNED);
    }
    const PINNED: [usize; 4] = [252, 874, 759, 992];

    #[test]
    fn normal_has_unit_moments() {
        let mut s = Seed::root(1).stream();
        let draws: Vec<f64> = (0..20_000).map(|_| f64::from(s.normal())).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let var = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (var - 1.0).abs() < 0.04, "{mean} {var}");
    }
}
