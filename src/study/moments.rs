//! Mean and spread of a few numbers.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What some numbers amount to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// How many there are.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, with `n - 1` degrees of freedom.
    pub sd: f64,
}

impl Moments {
    /// Of at least two finite numbers.
    ///
    /// # Errors
    /// [`Error::Impossible`] for fewer; [`Error::NotFinite`] where one is no number.
    pub fn of(numbers: &[f64]) -> Result<Self> {
        let n = numbers.len();
        if n < 2 {
            return Err(Error::Impossible(format!("{n} measured; expected at least 2, to know how far they spread")));
        }
        if let Some(odd) = numbers.iter().find(|number| !number.is_finite()) {
            return Err(Error::NotFinite(format!("{odd} among what was measured; expected finite numbers")));
        }
        let mean = numbers.iter().sum::<f64>() / n as f64;
        let squares = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>();
        Ok(Moments { n, mean, sd: (squares / (n - 1) as f64).sqrt() })
    }

    /// The squared standard error of the mean.
    pub fn error_squared(&self) -> f64 {
        self.sd * self.sd / self.n as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_four_numbers() {
        let m = Moments::of(&[2.0, 4.0, 4.0, 6.0]).unwrap();
        assert_eq!((m.n, m.mean, m.sd), (4, 4.0, (8.0f64 / 3.0).sqrt()));
        assert!(Moments::of(&[1.0]).unwrap_err().to_string().contains("1 measured; expected at least 2"));
        assert!(Moments::of(&[1.0, f64::NAN]).is_err());
    }
}
