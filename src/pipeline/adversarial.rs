//! Attacked images as safetensors.

use candle_core::Tensor;
use safetensors::tensor::{Dtype, TensorView};

use crate::error::{Error, Result};

/// `images` f32 `[n, h, w, c]` with pixels in `[0, 1]`, `ids` u32 `[n]` their numbers in the data, `labels` u32 `[n]` the true
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
