//! Rows and columns of planes `[n, c, h, w]` multiplied by matrices: average pools and spectral layers.

use candle_core::{Device, Result, Shape as Dims, Tensor};
use candle_nn::{Module, VarBuilder};

use super::window::Conv;
use crate::arch::fourier::{Complex, flc_matrix};
use crate::arch::op::{Shape, Window, amplitudes};

/// A constant tensor, with the device and precision of the network.
pub fn constant<S: Into<Dims>>(values: &[f64], shape: S, like: &VarBuilder) -> Result<Tensor> {
    // Not every device has double precision.
    Tensor::from_slice(values, shape, &Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())
}

/// The last axis times a matrix `[w, w']`.
fn times(x: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    x.reshape((n * c * h, w))?.matmul(matrix)?.reshape((n, c, h, matrix.dim(1)?))
}

/// The transpose.
fn turned(x: &Tensor) -> Result<Tensor> {
    x.transpose(2, 3)?.contiguous()
}

/// A sum of terms `A^T X B`.
#[derive(Clone, Debug)]
pub struct Planes(Vec<[Tensor; 2]>);

impl Planes {
    /// An average pool. Its window is separable, and so is the number of pixels in it.
    pub fn average(x: Shape, y: Shape, window: &Window, count_include_pad: bool, like: &VarBuilder) -> Result<Self> {
        let matrix = |n: usize, out: usize, axis: usize| {
            let mut shares = vec![0.0; n * out];
            for to in 0..out {
                let seen: Vec<usize> = window.seen(axis, n, to).collect();
                let count = if count_include_pad { window.kernel[axis] } else { seen.len() };
                seen.into_iter().for_each(|from| shares[from * out + to] += 1.0 / count as f64);
            }
            constant(&shares, (n, out), like)
        };
        Ok(Planes(vec![[matrix(x.h, y.h, 0)?, matrix(x.w, y.w, 1)?]]))
    }

    /// FLC pooling: the real part of `A X B^T` with complex matrices.
    pub fn flc(x: Shape, hamming: bool, like: &VarBuilder) -> Result<Self> {
        let (rows, columns) = (flc_matrix(x.h, hamming).transposed(), flc_matrix(x.w, hamming).transposed());
        let minus: Vec<f64> = rows.im.iter().map(|v| -v).collect();
        let pair = |a: &[f64], b: &[f64]| -> Result<[Tensor; 2]> {
            Ok([constant(a, &rows.sides, like)?, constant(b, &columns.sides, like)?])
        };
        Ok(Planes(vec![pair(&rows.re, &columns.re)?, pair(&minus, &columns.im)?]))
    }
}

impl Module for Planes {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let term = |[rows, columns]: &[Tensor; 2]| turned(&times(&turned(&times(x, columns)?)?, rows)?);
        let terms = self.0.iter().map(term).collect::<Result<Vec<_>>>()?;
        terms[1..].iter().try_fold(terms[0].clone(), |sum, next| sum + next)
    }
}

/// Real and imaginary part.
type Parts = [Tensor; 2];

/// A complex matrix `[n, m]`, to be multiplied from the right.
#[derive(Clone, Debug)]
struct Waves {
    re: Tensor,
    im: Tensor,
}

impl Waves {
    fn new(matrix: &Complex, like: &VarBuilder) -> Result<Self> {
        Ok(Waves { re: constant(&matrix.re, &matrix.sides, like)?, im: constant(&matrix.im, &matrix.sides, like)? })
    }

    fn of_real(&self, x: &Tensor) -> Result<Parts> {
        Ok([times(x, &self.re)?, times(x, &self.im)?])
    }

    fn of(&self, [re, im]: &Parts) -> Result<Parts> {
        Ok([(times(re, &self.re)? - times(im, &self.im)?)?, (times(re, &self.im)? + times(im, &self.re)?)?])
    }

    /// The real part of the product alone.
    fn real_of(&self, [re, im]: &Parts) -> Result<Tensor> {
        times(re, &self.re)? - times(im, &self.im)?
    }
}

/// The same function of both parts.
fn both([re, im]: &Parts, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Parts> {
    Ok([change(re)?, change(im)?])
}

/// A convolution whose output channels are weighted frequency by frequency (ConvNorm with its running amplitudes).
#[derive(Clone, Debug)]
pub struct ConvNorm {
    conv: Conv,
    /// A kernel of one tap has a flat spectrum: its amplitude is a factor of the weights.
    filter: Option<Filter>,
}

/// The transform of the full plane, factors of its spectrum, and the inverse transform to the pixels that are kept.
#[derive(Clone, Debug)]
struct Filter {
    /// `[w, w / 2 + 1]`: the one-sided spectrum of a real plane.
    columns: Waves,
    /// `[h, h]`.
    rows: Waves,
    /// `[1, out, w / 2 + 1, h]`.
    factors: Tensor,
    /// `[h, rows kept]`.
    back_rows: Waves,
    /// `[w / 2 + 1, columns kept]`.
    back_columns: Waves,
}

impl ConvNorm {
    /// Weights `[out, in, rows, columns]`, and the inverse amplitudes of [`amplitudes`].
    pub fn new(x: Shape, y: Shape, window: &Window, like: &VarBuilder) -> Result<Self> {
        let [kh, kw] = window.kernel;
        let kept = amplitudes(x, window, y.c);
        let weight = like.get((y.c, x.c, kh, kw), "weight")?;
        let factors = like.get((kept.h, kept.w, kept.c), "running_amplitude")?;
        if window.taps() == 1 {
            let weight = weight.broadcast_mul(&factors.reshape((y.c, 1, 1, 1))?)?;
            return Ok(ConvNorm { conv: Conv::new(weight, None, x, window, 1)?, filter: None });
        }
        let wide = Window { kernel: [kh, kw], stride: [1; 2], pad: [kh - 1, kw - 1], dilation: [1; 2] };
        let (h, w) = (x.h + kh - 1, x.w + kw - 1);
        let place = |axis: usize, to: usize| window.kernel[axis] - 1 - window.pad[axis] + window.stride[axis] * to;
        let rows = Complex::fourier(h, h);
        // The inverse transform is the conjugate; its normalisation is applied with that of the columns.
        let conjugate = Complex { im: rows.im.iter().map(|v| -v).collect(), ..rows.clone() };
        let back_rows = chosen(&conjugate, (0..y.h).map(|to| place(0, to)));
        let back_columns = chosen(&Complex::inverse_one_sided(h, w), (0..y.w).map(|to| place(1, to)));
        let filter = Filter {
            columns: Waves::new(&Complex::fourier(w, w / 2 + 1).transposed(), like)?,
            rows: Waves::new(&rows, like)?,
            factors: factors.permute((2, 1, 0))?.contiguous()?.unsqueeze(0)?,
            back_rows: Waves::new(&back_rows, like)?,
            back_columns: Waves::new(&back_columns, like)?,
        };
        Ok(ConvNorm { conv: Conv::new(weight, None, x, &wide, 1)?, filter: Some(filter) })
    }
}

/// Some columns of a matrix.
fn chosen(matrix: &Complex, columns: impl Iterator<Item = usize>) -> Complex {
    let columns: Vec<usize> = columns.collect();
    let of = |part: &[f64]| {
        part.chunks_exact(matrix.sides[1]).flat_map(|row| columns.iter().map(move |column| row[*column])).collect()
    };
    Complex { sides: [matrix.sides[0], columns.len()], re: of(&matrix.re), im: of(&matrix.im) }
}

impl Module for ConvNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let plane = self.conv.forward(x)?;
        let Some(filter) = &self.filter else { return Ok(plane) };
        let spectrum = filter.rows.of(&both(&filter.columns.of_real(&plane)?, turned)?)?;
        let flat = both(&spectrum, |part| part.broadcast_mul(&filter.factors))?;
        filter.back_columns.real_of(&both(&filter.back_rows.of(&flat)?, turned)?)
    }
}
