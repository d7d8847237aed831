//! Arithmetic on vectors as long as the weights, in place and on every thread; no result depends on their number.

use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor};
use rayon::prelude::*;

use crate::engine::Real;
use crate::error::Result;

/// Scalars of a vector that one task takes: few enough for the first-level cache, so many that a task is worth it.
pub(super) const RUN: usize = 1 << 13;

/// `into += other`, in place.
///
/// # Errors
/// [`crate::error::Error::Tensor`] for vectors of different lengths or precisions.
pub fn add(into: &Tensor, other: &Tensor) -> Result<()> {
    blend(into, 1.0, other, 1.0)
}

/// `into = keep into + take other`, in place.
///
/// # Errors
/// As [`add`].
pub fn blend(into: &Tensor, keep: f64, other: &Tensor, take: f64) -> Result<()> {
    Ok(into.inplace_op2(other, &Blend { keep, take })?)
}

struct Blend {
    keep: f64,
    take: f64,
}

impl Blend {
    fn run<T: Real>(&self, into: &mut [T], other: &[T]) {
        let (keep, take) = (T::from_f64(self.keep), T::from_f64(self.take));
        into.par_chunks_mut(RUN).zip(other.par_chunks(RUN)).for_each(|(into, other)| {
            for (a, b) in into.iter_mut().zip(other) {
                *a = keep * *a + take * *b;
            }
        });
    }
}

impl InplaceOp2 for Blend {
    fn name(&self) -> &'static str {
        "blend-in-place"
    }

    fn cpu_fwd(&self, a: &mut CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> candle_core::Result<()> {
        let ((from, to), (other_from, other_to)) = (bounds(la)?, bounds(lb)?);
        if to - from != other_to - other_from {
            candle_core::bail!("{} numbers are not blended with {}", to - from, other_to - other_from);
        }
        match (a, b) {
            (CpuStorage::F32(a), CpuStorage::F32(b)) => self.run(&mut a[from..to], &b[other_from..other_to]),
            (CpuStorage::F64(a), CpuStorage::F64(b)) => self.run(&mut a[from..to], &b[other_from..other_to]),
            _ => candle_core::bail!("vectors of one precision are blended"),
        }
        Ok(())
    }
}

/// The numbers of an optimiser's vector.
pub(super) fn run<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let (from, to) = bounds(layout)?;
    Ok(&storage.as_slice::<f32>()?[from..to])
}

/// The same, to be written.
pub(super) fn run_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> candle_core::Result<&'a mut [f32]> {
    let (from, to) = bounds(layout)?;
    match storage {
        CpuStorage::F32(all) => Ok(&mut all[from..to]),
        _ => candle_core::bail!("optimisers work on f32"),
    }
}

fn bounds(layout: &Layout) -> candle_core::Result<(usize, usize)> {
    match layout.contiguous_offsets() {
        Some(bounds) => Ok(bounds),
        None => candle_core::bail!("optimisers work on contiguous vectors"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn long_vectors_are_blended_whole() {
        let n = 2 * RUN + 5;
        let whole = Tensor::zeros(n + 3, DType::F32, &Device::Cpu).unwrap();
        let other = Tensor::arange(0f32, n as f32, &Device::Cpu).unwrap();
        // A view of the middle: what lies beside it stays.
        let middle = whole.narrow(0, 1, n).unwrap();
        add(&middle, &other).unwrap();
        blend(&middle, 0.5, &other, 2.0).unwrap();
        let found: Vec<f32> = whole.to_vec1().unwrap();
        assert_eq!((found[0], &found[n + 1..]), (0.0, &[0.0, 0.0][..]));
        assert!(found[1..=n].iter().enumerate().all(|(i, v)| *v == 2.5 * i as f32));
        assert!(add(&whole, &other).is_err());
    }
}
