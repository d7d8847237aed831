//! The cost of a cell network at any widths from ten counts of it.
//!
//! At given cells the multiply-accumulates are a polynomial of second degree in the stages' channels: a convolution costs the
//! product of two of them, a depthwise one a multiple of one, the classifier's one a multiple of one. So Newton's forward
//! differences at the ten smallest networks give all others exactly, for even channels, of which a factorised reduction has two
//! equal halves.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{CountMacs, STAGES};
use crate::error::{Error, Result};
use crate::units::Macs;

/// Channels between two counts.
const STEP: usize = 2;

/// The differences at given cells.
#[derive(Clone, Copy)]
struct Polynomial {
    /// At the smallest network.
    least: i128,
    /// First differences.
    first: [i128; STAGES],
    /// Second differences, symmetric.
    second: [[i128; STAGES]; STAGES],
}

/// A genotype's costs, counted where they are asked for first.
pub struct Counts<'a> {
    count: CountMacs<'a>,
    known: RefCell<BTreeMap<Vec<usize>, Polynomial>>,
}

impl<'a> Counts<'a> {
    /// Of what `count` counts: a network of the given cells and even channels a stage.
    pub fn new(count: CountMacs<'a>) -> Self {
        Counts { count, known: RefCell::default() }
    }

    /// The multiply-accumulates at given cells and even channels.
    ///
    /// # Errors
    /// Those of the count; [`Error::Internal`] for odd channels or another number of stages.
    ///
    /// # Cost
    /// Ten counts for cells that are new, else none.
    pub fn macs(&self, cells: &[usize], channels: &[usize]) -> Result<Macs> {
        let odd = channels.iter().any(|c| *c == 0 || !c.is_multiple_of(STEP));
        let (false, Ok(channels)) = (odd, <[usize; STAGES]>::try_from(channels)) else {
            return Err(Error::Internal(format!("{channels:?} channels; expected {STAGES} even numbers")));
        };
        let known = self.known.borrow().get(cells).copied();
        let polynomial = match known {
            Some(polynomial) => polynomial,
            None => {
                let polynomial = self.count(cells)?;
                self.known.borrow_mut().insert(cells.to_vec(), polynomial);
                polynomial
            }
        };
        polynomial.at(channels).try_into().map(Macs).map_err(|_| Error::Internal("a cost beyond 64 bits".into()))
    }

    fn count(&self, cells: &[usize]) -> Result<Polynomial> {
        let at = |steps: &[usize]| {
            let channels: [usize; STAGES] =
                std::array::from_fn(|s| STEP * (1 + steps.iter().filter(|step| **step == s).count()));
            Ok::<_, Error>(i128::from((self.count)(cells, &channels)?.0))
        };
        let least = at(&[])?;
        let (mut first, mut second) = ([0; STAGES], [[0; STAGES]; STAGES]);
        for (i, first) in first.iter_mut().enumerate() {
            *first = at(&[i])? - least;
        }
        for i in 0..STAGES {
            for j in i..STAGES {
                second[i][j] = at(&[i, j])? - least - first[i] - first[j];
                second[j][i] = second[i][j];
            }
        }
        Ok(Polynomial { least, first, second })
    }
}

impl Polynomial {
    fn at(&self, channels: [usize; STAGES]) -> i128 {
        let steps = channels.map(|c| (c / STEP) as i128 - 1);
        let mut macs = self.least;
        for i in 0..STAGES {
            macs += self.first[i] * steps[i] + self.second[i][i] * (steps[i] * (steps[i] - 1) / 2);
            macs += (i + 1..STAGES).map(|j| self.second[i][j] * steps[i] * steps[j]).sum::<i128>();
        }
        macs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::cost::cost;
    use crate::arch::families::cells::{Placement, Skeleton, derived};
    use crate::arch::genotype::Genotype;
    use crate::arch::op::Shape;
    use std::path::Path;

    const ARNAS: &str = include_str!("../../../search_spaces/genotypes/ARNAS.txt");

    /// Every operation of the published cells, at widths near and far.
    #[test]
    fn polynomials_are_counts() {
        let genotype = Genotype::parse(ARNAS, Path::new("ARNAS.txt")).unwrap();
        let count = |cells: &[usize], channels: &[usize]| {
            let skeleton = Skeleton {
                image: Shape::new(32, 32, 3),
                classes: 10,
                normalize: None,
                stem: 3 * channels[0],
                stem_kind: Default::default(),
                cells: Placement::dsara().scaled_row(cells, channels),
            };
            Ok(cost(&derived(&skeleton, &genotype)?).macs)
        };
        let counts = Counts::new(&count);
        for cells in [[2, 2, 1], [3, 4, 2]] {
            for channels in [[2, 2, 2], [4, 2, 6], [16, 40, 32], [8, 2, 30], [36, 90, 72]] {
                assert_eq!(counts.macs(&cells, &channels).unwrap(), count(&cells, &channels).unwrap(), "{channels:?}");
            }
        }
        assert!(counts.macs(&[2, 2, 1], &[3, 4, 4]).is_err());
    }
}
