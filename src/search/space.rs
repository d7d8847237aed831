//! What a search strategy needs to know of a search space: how networks are drawn, and which are one step apart.

pub mod cells;
pub mod nb201;
pub mod pool;

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};

use super::ridge::Features;
use crate::seed::Stream;

/// A set of architectures with steps between them.
pub trait Space {
    /// An architecture as it is written down.
    type Arch: Clone + Debug + PartialEq + Serialize + DeserializeOwned;
    /// What architectures that count as one network have in common.
    type Key: Copy + Ord;

    /// An architecture, each as it is written down as likely as the other.
    fn draw(&self, stream: &mut Stream) -> Self::Arch;

    /// All architectures that differ in one choice, in a fixed order.
    fn neighbours(&self, arch: &Self::Arch) -> Vec<Self::Arch>;

    /// What a predictor is told of an architecture, the same numbers of numbers for all of them; nothing where it has no network.
    fn features(&self, arch: &Self::Arch) -> Option<Features>;

    /// Which network an architecture is: architectures of one key are not tried twice.
    fn key(&self, arch: &Self::Arch) -> Self::Key;
}
