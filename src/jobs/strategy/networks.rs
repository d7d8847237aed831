//! The networks of one size: genotypes at the budget, random ones in their order, and the hand-made one.

use crate::arch::cost::cost;
use crate::arch::families::cells::{Skeleton, derived};
use crate::arch::file::id_of;
use crate::arch::genotype::Genotype;
use crate::arch::net::Net;
use crate::arch::scaling::{Scaled, residual_control};
use crate::config::Config;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::jobs::candidates::scalings;
use crate::report::searches::facts::Described;
use crate::search::ridge::Features;
use crate::search::shared::SizedNet;
use crate::search::space::{Space, cells::Cells};
use crate::seed::{Seed, Stream};
use crate::units::Macs;

/// Draws that give no new network of the size before the space is taken to hold no more.
const DRAWS: usize = 1000;

/// Networks whose sizes stand for those of the space.
const SIZES: usize = 200;

/// The networks of a space at a budget.
pub struct Networks<'a> {
    config: &'a Config,
    data: &'a Dataset,
    /// The space.
    pub space: Cells,
    /// The one size of all.
    pub budget: Macs,
}

/// A network to be trained.
pub struct Built {
    /// The graph.
    pub net: Net,
    /// What is told of it.
    pub described: Described,
}

impl<'a> Networks<'a> {
    /// Those of a space file.
    pub fn new(config: &'a Config, data: &'a Dataset, budget: Macs) -> Self {
        let space = Cells::new(config.mix_layout(), config.derive.edges_per_node);
        Networks { config, data, space, budget }
    }

    fn skeleton(&self, cells: &[usize], channels: &[usize]) -> Skeleton {
        let (image, classes) = self.data.seen();
        self.config.scaled_skeleton(image, classes, cells, channels)
    }

    fn scaled(&self, genotype: &Genotype) -> Result<Scaled> {
        let choice = scalings(self.config, self.data.seen(), genotype, self.budget)?;
        choice.kept.into_iter().next().ok_or_else(|| Error::Internal("a scaling without a network".into()))
    }

    /// A genotype at the budget.
    ///
    /// # Errors
    /// [`Error::Impossible`] where no network of it is within the tolerance.
    pub fn size(&self, genotype: &Genotype) -> Result<SizedNet> {
        self.sized(genotype).map(|(_, sized)| sized)
    }

    fn sized(&self, genotype: &Genotype) -> Result<(Scaled, SizedNet)> {
        let scaled = self.scaled(genotype)?;
        let skeleton = self.skeleton(&scaled.cells, &scaled.channels);
        let net = derived(&skeleton, genotype)?;
        Ok((scaled, SizedNet { net, skeleton }))
    }

    /// The network of a genotype.
    ///
    /// # Errors
    /// As [`Networks::size`].
    pub fn build(&self, genotype: &Genotype) -> Result<Built> {
        let (scaled, SizedNet { net, .. }) = self.sized(genotype)?;
        Built::new(net, scaled.summary(), Some(genotype.to_string()))
    }

    /// The residual network nearest to the budget.
    ///
    /// # Errors
    /// [`Error::Impossible`] where it misses the budget by more than the tolerance.
    pub fn hand_made(&self) -> Result<Built> {
        let (resnet, net) = residual_control(self.budget, self.data.image, self.data.classes.len())?;
        let (found, tolerance) = (cost(&net).macs, self.config.scaling.tolerance);
        let off = found.0 as f64 / self.budget.0 as f64 - 1.0;
        if off.abs() > tolerance {
            return Err(Error::Impossible(format!(
                "the hand-made network nearest to {} has {found}, {:+.1} %, and networks are compared within {:.1} %; ask \
                 for its size (budgets = [{}]) or for none (study.hand_made = 0)",
                self.budget,
                100.0 * off,
                100.0 * tolerance,
                found.0
            )));
        }
        Built::new(net, resnet.summary(), None)
    }

    /// The first `n` random genotypes that have the size, all different. A larger number begins with the same ones.
    ///
    /// # Errors
    /// [`Error::Impossible`] where the space does not have as many.
    pub fn random(&self, n: usize, seed: Seed) -> Result<Vec<Genotype>> {
        let (mut found, mut keys, mut unfit, mut why) = (Vec::new(), Vec::new(), 0, String::new());
        for draw in 0.. {
            if found.len() == n {
                break;
            }
            let genotype = self.space.draw(&mut seed.index(draw).stream());
            let key = self.space.key(&genotype);
            match self.scaled(&genotype) {
                Ok(_) if !keys.contains(&key) => {
                    keys.push(key);
                    found.push(genotype);
                    continue;
                }
                Ok(_) => {}
                Err(Error::Impossible(reason)) => why = format!("; the last: {reason}"),
                Err(other) => return Err(other),
            }
            unfit += 1;
            if unfit > DRAWS {
                let have = found.len();
                return Err(Error::Impossible(format!("{have} of {n} random networks among {draw} draws{why}")));
            }
        }
        Ok(found)
    }

    /// For every depth that networks have, a skeleton as wide in each stage as the widest of some two hundred.
    ///
    /// # Errors
    /// As [`Networks::random`].
    pub fn largest(&self, seed: Seed) -> Result<Vec<Skeleton>> {
        let (mut depths, mut widest): (Vec<Vec<usize>>, _) = (Vec::new(), Vec::new());
        for draw in 0..SIZES as u64 {
            let scaled = match self.scaled(&self.space.draw(&mut seed.index(draw).stream())) {
                Err(Error::Impossible(_)) => continue,
                other => other?,
            };
            let cells = scaled.cells.to_vec();
            if !depths.contains(&cells) {
                depths.push(cells);
            }
            widest.resize(scaled.channels.len(), 0);
            widest.iter_mut().zip(scaled.channels).for_each(|(most, own)| *most = own.max(*most));
        }
        if depths.is_empty() {
            let budget = self.budget;
            return Err(Error::Impossible(format!("none of {SIZES} random networks has a size of {budget}")));
        }
        depths.sort_unstable();
        Ok(depths.iter().map(|cells| self.skeleton(cells, &widest)).collect())
    }
}

/// The space of the cells, where a predictor is told of networks as they are at the size: in one group parameters, channels and
/// cells of each stage, in another the operations.
impl Space for Networks<'_> {
    type Arch = Genotype;
    type Key = <Cells as Space>::Key;

    fn draw(&self, stream: &mut Stream) -> Genotype {
        self.space.draw(stream)
    }

    fn neighbours(&self, arch: &Genotype) -> Vec<Genotype> {
        self.space.neighbours(arch)
    }

    fn features(&self, arch: &Genotype) -> Option<Features> {
        let (scaled, SizedNet { net, .. }) = self.sized(arch).ok()?;
        let mut of_network = vec![(cost(&net).params.0 as f64).ln()];
        of_network.extend(scaled.channels.iter().map(|channels| (*channels as f64).ln()));
        of_network.extend(scaled.cells.iter().map(|cells| *cells as f64));
        let mut groups = vec![of_network];
        groups.extend(self.space.features(arch)?);
        Some(groups)
    }

    fn key(&self, arch: &Genotype) -> Self::Key {
        self.space.key(arch)
    }
}

impl Built {
    fn new(net: Net, summary: String, genotype: Option<String>) -> Result<Self> {
        let cost = cost(&net);
        let described = Described { arch: id_of(&net)?, genotype, summary, macs: cost.macs, params: cost.params };
        Ok(Built { net, described })
    }
}
