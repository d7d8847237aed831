//! Reductions of whole tensors; the order of their additions does not depend on the number of threads.

use candle_core::{CpuStorage, Storage, Tensor};
use rayon::prelude::*;

use crate::error::Result;

/// Scalars of a vector that one task takes: few enough for the first-level cache, so many that a task is worth it.
const RUN: usize = 1 << 13;

/// The Euclidean norm, in double precision.
///
/// # Errors
/// [`Error::Tensor`](crate::error::Error::Tensor) where the device refuses.
pub fn euclidean_norm(v: &Tensor) -> Result<f64> {
    let (storage, layout) = v.storage_and_layout();
    match &*storage {
        Storage::Cpu(CpuStorage::F32(all)) if layout.is_contiguous() => {
            let run = &all[layout.start_offset()..][..layout.shape().elem_count()];
            let sums: Vec<f64> = run.par_chunks(RUN).map(squares).collect();
            Ok(sums.iter().sum::<f64>().sqrt())
        }
        _ => Ok(v.to_dtype(candle_core::DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt()),
    }
}

/// The sum of squares, as eight sums side by side, which do not wait for each other.
fn squares(run: &[f32]) -> f64 {
    let mut sums = [0.0; 8];
    let (whole, rest) = run.as_chunks::<8>();
    for eight in whole {
        for (sum, x) in sums.iter_mut().zip(eight) {
            *sum += f64::from(*x) * f64::from(*x);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>()
}
