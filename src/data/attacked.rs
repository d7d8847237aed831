//! Attacked images as safetensors.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result};

/// What a file holds.
pub struct Stored {
    /// `[n, h, w, c]`, f32.
    pub images: Tensor,
    /// Their indices in the data set.
    pub ids: Vec<u32>,
    /// The true classes.
    pub labels: Vec<u32>,
}

/// Reads what [`encode`] writes; `path` is for errors.
///
/// # Errors
/// [`Error::Data`] naming the tensor that is missing, or of another type or size; an image that is there twice.
pub fn decode(bytes: &[u8], path: &Path) -> Result<Stored> {
    let bad = |message: String| Error::data(path, message);
    let file = SafeTensors::deserialize(bytes).map_err(|e| bad(e.to_string()))?;
    let words = |name: &str, dtype: Dtype, rank: usize| -> Result<(Vec<usize>, Vec<[u8; 4]>)> {
        let view = file.tensor(name).map_err(|e| bad(format!("`{name}`: {e}")))?;
        if view.dtype() != dtype || view.shape().len() != rank {
            let found = (view.shape(), view.dtype());
            return Err(bad(format!("`{name}` is {found:?}, expected {dtype:?} with {rank} axes")));
        }
        Ok((view.shape().to_vec(), view.data().as_chunks::<4>().0.to_vec()))
    };
    let numbers = |name: &str| -> Result<Vec<u32>> {
        Ok(words(name, Dtype::U32, 1)?.1.into_iter().map(u32::from_le_bytes).collect())
    };
    let (shape, pixels) = words("images", Dtype::F32, 4)?;
    let (ids, labels) = (numbers("ids")?, numbers("labels")?);
    if [ids.len(), labels.len()] != [shape[0]; 2] {
        return Err(bad(format!("{} images with {} ids and {} labels", shape[0], ids.len(), labels.len())));
    }
    let mut rows = HashMap::with_capacity(ids.len());
    for (row, id) in ids.iter().enumerate() {
        if let Some(before) = rows.insert(id, row) {
            return Err(bad(format!(
                "`ids`: image {id} is there twice, in rows {before} and {row}; expected every image once, so that each counts \
                 once"
            )));
        }
    }
    let pixels: Vec<f32> = pixels.into_iter().map(f32::from_le_bytes).collect();
    Ok(Stored { images: Tensor::from_vec(pixels, shape, &Device::Cpu)?, ids, labels })
}

/// `images` f32 `[n, h, w, c]` with pixels in `[0, 1]`, `ids` u32 `[n]` their indices in the data set, `labels` u32 `[n]` the true
/// classes.
///
/// # Errors
/// [`Error::Tensor`] for other than f32 images, and where the numbers of images, ids and labels differ.
pub fn encode(images: &Tensor, ids: &[u32], labels: &[u32]) -> Result<Vec<u8>> {
    let failed = |e: safetensors::SafeTensorError| Error::Tensor(e.to_string());
    let pixels: Vec<f32> = images.flatten_all()?.to_vec1()?;
    let bytes = |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let (pixels, ids, labels): (Vec<u8>, _, _) =
        (pixels.iter().flat_map(|v| v.to_le_bytes()).collect(), bytes(ids), bytes(labels));
    let n = images.dims().first().copied().unwrap_or(0);
    let views = [
        ("images", TensorView::new(Dtype::F32, images.dims().to_vec(), &pixels).map_err(failed)?),
        ("ids", TensorView::new(Dtype::U32, vec![n], &ids).map_err(failed)?),
        ("labels", TensorView::new(Dtype::U32, vec![n], &labels).map_err(failed)?),
    ];
    safetensors::serialize(views, None).map_err(failed)
}
