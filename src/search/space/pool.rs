//! Some networks of a space, as a space: what a strategy draws is one of them.

use super::Space;
use crate::search::ridge::Features;
use crate::seed::Stream;

/// Networks to choose from.
pub struct Pool<'a, S: Space> {
    /// The space that they are of.
    pub space: &'a S,
    /// The networks; at least one.
    pub networks: Vec<S::Arch>,
}

impl<S: Space> Space for Pool<'_, S> {
    type Arch = S::Arch;
    type Key = S::Key;

    fn draw(&self, stream: &mut Stream) -> S::Arch {
        self.networks[stream.below(self.networks.len())].clone()
    }

    fn neighbours(&self, arch: &S::Arch) -> Vec<S::Arch> {
        let own: Vec<S::Key> = self.networks.iter().map(|network| self.key(network)).collect();
        let mut around = self.space.neighbours(arch);
        around.retain(|neighbour| own.contains(&self.key(neighbour)));
        around
    }

    fn features(&self, arch: &S::Arch) -> Option<Features> {
        self.space.features(arch)
    }

    fn key(&self, arch: &S::Arch) -> S::Key {
        self.space.key(arch)
    }
}
