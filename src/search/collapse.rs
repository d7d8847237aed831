//! Collapse of a search: operations without weights win everywhere, since they learn nothing and so are never behind.
//!
//! What is watched, and when: `config::Collapse`. Parameters of an epoch that collapsed are taken back to those of the last
//! epoch that did not, and stay there; the weights learn on.

use serde::{Deserialize, Serialize};

use crate::config::Collapse;
use crate::error::Result;
use crate::record::CellState;
use crate::search::distribution::Alpha;
use crate::seed::Seed;

/// Epochs of which the dominant eigenvalue is averaged, and epochs between the two averages that are compared (Zela et al.
/// 2020, R-DARTS, where both are 5).
const WINDOW: usize = 5;

/// The step of the central differences for products with the Hessian, as a length in the space of the parameters: far above
/// what single precision rounds, and over many kinks of the network.
const STEP: f64 = 0.05;

/// Power iterations.
const POWERS: usize = 8;

/// The eigenvalue of the largest magnitude of the Hessian whose gradient is given: power iteration, with products by central
/// differences.
///
/// # Errors
/// Those of the gradient.
pub fn dominant(at: &[f64], seed: Seed, gradient: &mut dyn FnMut(&[f64]) -> Result<Vec<f64>>) -> Result<f64> {
    let mut stream = seed.stream();
    let mut along: Vec<f64> = at.iter().map(|_| f64::from(stream.normal())).collect();
    let mut found = 0.0;
    for _ in 0..POWERS {
        let length = along.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        along.iter_mut().for_each(|x| *x /= length);
        let mut side = |step: f64| {
            let moved: Vec<f64> = at.iter().zip(&along).map(|(a, d)| a + step * d).collect();
            gradient(&moved)
        };
        let (up, down) = (side(STEP)?, side(-STEP)?);
        let product: Vec<f64> = up.iter().zip(&down).map(|(a, b)| (a - b) / (2.0 * STEP)).collect();
        found = along.iter().zip(&product).map(|(d, p)| d * p).sum();
        along = product;
    }
    Ok(found)
}

/// What was seen so far, part of the search's saved state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// The parameters of the last epoch that did not collapse.
    good: Option<Alpha>,
    /// The dominant eigenvalue behind each epoch whose architecture moved.
    eigenvalues: Vec<f64>,
    /// Whether the architecture stays as it is.
    stays: bool,
}

impl Watch {
    /// Whether the architecture stays as it is.
    pub fn stays(&self) -> bool {
        self.stays
    }

    /// An epoch whose architecture moved to `alpha`, from `origin` at first: the parameters to go back to where it collapsed.
    pub fn epoch(
        &mut self,
        collapse: &Collapse,
        cells: &[CellState],
        eigenvalue: Option<f64>,
        (alpha, origin): (&Alpha, &Alpha),
    ) -> Option<Alpha> {
        self.eigenvalues.extend(eigenvalue);
        let weightless = collapse.weightless.is_some_and(|most| cells.iter().any(|cell| cell.weightless_share > most));
        let curved = collapse.eigenvalue.is_some_and(|least| self.flatness().is_some_and(|share| share < least));
        if !weightless && !curved {
            self.good = Some(alpha.clone());
            return None;
        }
        self.stays = true;
        Some(self.good.take().unwrap_or_else(|| origin.clone()))
    }

    /// The mean eigenvalue of a window of epochs as a share of that of the window [`WINDOW`] epochs later, once there are two.
    fn flatness(&self) -> Option<f64> {
        let mean = |window: &[f64]| window.iter().sum::<f64>() / window.len() as f64;
        let later = self.eigenvalues.len().checked_sub(WINDOW)?;
        let earlier = later.checked_sub(WINDOW)?;
        let (before, now) = (mean(&self.eigenvalues[earlier..earlier + WINDOW]), mean(&self.eigenvalues[later..]));
        (now > 0.0).then(|| before / now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(weightless_share: f64) -> CellState {
        CellState { kind: "a".into(), entropy: vec![], skip_share: 0.0, weightless_share, moved: None }
    }

    /// A quadratic form of known eigenvalues along turned axes; the largest may be negative.
    #[test]
    fn the_dominant_eigenvalue_of_a_quadratic() {
        let (cos, sin) = (0.6, 0.8);
        for values in [[3.0, 0.5], [0.2, -2.0]] {
            let mut gradient = |x: &[f64]| {
                let turned = [cos * x[0] + sin * x[1], cos * x[1] - sin * x[0]];
                let scaled = [values[0] * turned[0], values[1] * turned[1]];
                Ok(vec![cos * scaled[0] - sin * scaled[1], sin * scaled[0] + cos * scaled[1]])
            };
            let found = dominant(&[0.3, -0.1], Seed::root(2), &mut gradient).unwrap();
            let largest = if values[0].abs() > values[1].abs() { values[0] } else { values[1] };
            assert!((found - largest).abs() < 1e-3, "{found} against {largest}");
        }
    }

    #[test]
    fn weightless_cells_are_taken_back() {
        let collapse = Collapse { weightless: Some(0.7), eigenvalue: None };
        let (mut watch, origin) = (Watch::default(), Alpha(vec![0.0]));
        let alpha = |x: f64| Alpha(vec![x]);
        assert_eq!(watch.epoch(&collapse, &[cell(0.5), cell(0.7)], None, (&alpha(1.0), &origin)), None);
        assert_eq!(watch.epoch(&collapse, &[cell(0.5), cell(0.6)], None, (&alpha(2.0), &origin)), None);
        assert!(!watch.stays());
        assert_eq!(watch.epoch(&collapse, &[cell(0.5), cell(0.8)], None, (&alpha(3.0), &origin)), Some(alpha(2.0)));
        assert!(watch.stays());
        // At the first epoch there is nothing to go back to but the beginning.
        assert_eq!(Watch::default().epoch(&collapse, &[cell(1.0)], None, (&alpha(3.0), &origin)), Some(origin));
    }

    #[test]
    fn a_growing_eigenvalue_is_a_collapse() {
        let collapse = Collapse { weightless: None, eigenvalue: Some(0.75) };
        let (mut watch, origin) = (Watch::default(), Alpha(vec![0.0]));
        let values = [1.0, 1.0, 1.0, 1.0, 1.0, 1.1, 1.1, 1.1, 1.1, 1.1, 2.0];
        let back: Vec<bool> = values
            .iter()
            .map(|value| watch.epoch(&collapse, &[cell(1.0)], Some(*value), (&origin, &origin)).is_some())
            .collect();
        // The last window's mean is 1.28 against 1.02 of that five epochs before.
        assert_eq!(back, [vec![false; 10], vec![1.02 / 1.28 < 0.75]].concat());
        assert!(watch.epoch(&collapse, &[cell(1.0)], Some(3.0), (&origin, &origin)).is_some());
    }
}
