//! PNG and JPEG bytes to pixels, the same way for every source.

use std::io::Cursor;

use image::{ImageFormat, ImageReader, Limits};
use rayon::prelude::*;

use crate::arch::op::Shape;

/// The largest side an image may have: a damaged header must not ask for gigabytes.
const MAX_SIDE: u32 = 4096;

/// Decodes one PNG or JPEG file to `[h, w, 3]`. Greyscale becomes three equal channels; transparency is refused,
/// because the background is not in the file. The error is a sentence, to which the caller adds the file and row.
fn decode(bytes: &[u8]) -> Result<(Shape, Vec<u8>), String> {
    let format = image::guess_format(bytes)
        .ok()
        .filter(|f| matches!(f, ImageFormat::Png | ImageFormat::Jpeg))
        .ok_or_else(|| format!("{} bytes that are neither PNG nor JPEG", bytes.len()))?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    reader.limits(limits);
    let picture = reader.decode().map_err(|e| format!("the image is damaged: {e}"))?;
    if picture.color().has_alpha() && picture.to_rgba8().pixels().any(|p| p.0[3] != u8::MAX) {
        return Err("the image is partly transparent; flatten it onto a background first".into());
    }
    let shape = Shape::new(picture.height() as usize, picture.width() as usize, 3);
    Ok((shape, picture.into_rgb8().into_raw()))
}

/// A growing stack of images that all have the first one's size.
#[derive(Default)]
pub(super) struct Stack {
    /// The common size, once there is an image.
    pub shape: Option<Shape>,
    /// `[n, h, w, c]`.
    pub pixels: Vec<u8>,
}

impl Stack {
    /// A stack whose images must have `shape`, where that is known already.
    pub fn of(shape: Option<Shape>) -> Self {
        Stack { shape, pixels: Vec::new() }
    }

    /// Decodes and appends `files` in their order, on all threads.
    ///
    /// # Errors
    /// The index of the first bad file, and what is wrong with it.
    pub fn extend<B: AsRef<[u8]> + Sync>(&mut self, files: &[B]) -> Result<(), (usize, String)> {
        let decoded: Vec<_> = files.par_iter().map(|f| decode(f.as_ref())).collect();
        for (i, image) in decoded.into_iter().enumerate() {
            let (shape, pixels) = image.map_err(|why| (i, why))?;
            let common = *self.shape.get_or_insert(shape);
            if shape != common {
                return Err((
                    i,
                    format!("the image is {shape}, the ones before it are {common}; all must have one size"),
                ));
            }
            self.pixels.extend_from_slice(&pixels);
        }
        Ok(())
    }
}
