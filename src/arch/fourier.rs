//! Fourier transforms as matrices: what spectral layers do to the rows and columns of an image.

use std::f64::consts::TAU;

use super::op::flc_side;

/// A complex matrix, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Complex {
    /// Rows and columns.
    pub sides: [usize; 2],
    /// Real parts.
    pub re: Vec<f64>,
    /// Imaginary parts.
    pub im: Vec<f64>,
}

impl Complex {
    /// Entry by entry, from the row and the column.
    fn of(sides: [usize; 2], entry: impl Fn(usize, usize) -> (f64, f64)) -> Self {
        let (re, im) = (0..sides[0] * sides[1]).map(|at| entry(at / sides[1], at % sides[1])).unzip();
        Complex { sides, re, im }
    }

    /// The first frequencies of `n` values, `[frequencies, n]`: `exp(-2 pi i u x / n)`.
    pub fn fourier(n: usize, frequencies: usize) -> Self {
        Complex::of([frequencies, n], |u, x| {
            // Reduced before the division: the angle keeps its digits.
            let angle = TAU * (u * x % n) as f64 / n as f64;
            (angle.cos(), -angle.sin())
        })
    }

    /// From the one-sided spectrum of `[h, w]` real numbers, its rows already transformed back, to the values:
    /// `[w / 2 + 1, w]`, to be multiplied from the right. A frequency that has a mirror counts twice; the lengths of
    /// both axes are divided out.
    pub fn inverse_one_sided(h: usize, w: usize) -> Self {
        Complex::of([w / 2 + 1, w], |u, x| {
            let angle = TAU * (u * x % w) as f64 / w as f64;
            let twice = if u == 0 || 2 * u == w { 1.0 } else { 2.0 };
            let share = twice / (h * w) as f64;
            (share * angle.cos(), share * angle.sin())
        })
    }

    /// The transpose.
    pub fn transposed(&self) -> Self {
        let [rows, columns] = self.sides;
        Complex::of([columns, rows], |r, c| (self.re[c * columns + r], self.im[c * columns + r]))
    }
}

/// Low-frequency-cut pooling along an axis of `n` pixels, `[flc_side(n), n]`: the forward transform over `n`, the
/// centred frequencies that are kept, and the inverse transform; of both axes, `Re(A X B^T)`.
///
/// The frequencies kept are centred on zero for every size. The published code keeps those from `n / 4` on, which for
/// sizes of the form `4 k + 2` is one off the centre. The window of the windowed variant is NumPy's symmetric Hamming
/// window over the centred frequencies; its square root is taken as the two axes' windows are multiplied.
pub fn flc_matrix(n: usize, hamming: bool) -> Complex {
    let kept = flc_side(n);
    let (first, centre) = ((n / 2 - kept / 2), n / 2);
    let window = |at: usize| {
        let share = if n > 1 { at as f64 / (n - 1) as f64 } else { 0.0 };
        if hamming { (0.54 - 0.46 * (TAU * share).cos()).sqrt() } else { 1.0 }
    };
    Complex::of([kept, n], |m, x| {
        let entries = (first..first + kept).map(|at| {
            let frequency = at as f64 - centre as f64;
            let angle = TAU * frequency * (m as f64 / kept as f64 - x as f64 / n as f64);
            let weight = window(at) / n as f64;
            (weight * angle.cos(), weight * angle.sin())
        });
        entries.fold((0.0, 0.0), |(re, im), (a, b)| (re + a, im + b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A constant image stays what it is, for every size.
    #[test]
    fn pooling_keeps_the_mean() {
        for n in 2..40 {
            let matrix = flc_matrix(n, false);
            for row in 0..matrix.sides[0] {
                let sum = |part: &[f64]| part[row * n..][..n].iter().sum::<f64>();
                assert!((sum(&matrix.re) - 1.0).abs() < 1e-12 && sum(&matrix.im).abs() < 1e-12, "{n}");
            }
        }
    }
}
