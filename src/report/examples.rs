//! Attacked images beside the clean ones, as a picture.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

use crate::arch::op::Shape;
use crate::error::{Error, Result};

/// Pixels between images.
const GAP: u32 = 6;
/// Least width of an image in pixels; it is enlarged by an integer factor.
const SIDE: usize = 128;

/// An image before and after: pixels in `[0, 1]`, `[h, w, c]`.
#[derive(Clone, Debug)]
pub struct Example {
    /// Before.
    pub clean: Vec<f32>,
    /// After.
    pub attacked: Vec<f32>,
}

/// One column an example: the clean image, the attacked one, and their difference, amplified around grey so that the
/// largest change of the example is black or white. Encoded as PNG.
///
/// # Errors
/// [`Error::Usage`] for no examples, for sizes that differ from `shape`, and for images of other than one or three
/// channels.
pub fn picture(examples: &[Example], shape: Shape) -> Result<Vec<u8>> {
    let fits = |e: &Example| e.clean.len() == shape.len() && e.attacked.len() == shape.len();
    if examples.is_empty() || !examples.iter().all(fits) || ![1, 3].contains(&shape.c) {
        return Err(Error::Usage(format!(
            "no picture of {} examples of {shape}: expected colour or grey",
            examples.len()
        )));
    }
    let scale = SIDE.div_ceil(shape.w).max(1) as u32;
    let (w, h) = (shape.w as u32 * scale, shape.h as u32 * scale);
    let size = |side: u32, count: usize| count as u32 * (side + GAP) + GAP;
    let mut picture = RgbImage::from_pixel(size(w, examples.len()), size(h, 3), Rgb([255; 3]));
    for (column, example) in examples.iter().enumerate() {
        let change: Vec<f32> = example.attacked.iter().zip(&example.clean).map(|(a, c)| a - c).collect();
        let largest = change.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
        let amplified: Vec<f32> = change.iter().map(|v| 0.5 + 0.5 * v / largest).collect();
        for (row, pixels) in [&example.clean, &example.attacked, &amplified].into_iter().enumerate() {
            let (left, top) = (column as u32 * (w + GAP) + GAP, row as u32 * (h + GAP) + GAP);
            for (x, y) in (0..h).flat_map(|y| (0..w).map(move |x| (x, y))) {
                let at = ((y / scale) as usize * shape.w + (x / scale) as usize) * shape.c;
                let channel = |k: usize| (255.0 * pixels[at + k.min(shape.c - 1)].clamp(0.0, 1.0)).round() as u8;
                picture.put_pixel(left + x, top + y, Rgb([channel(0), channel(1), channel(2)]));
            }
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    let written = picture.write_to(&mut bytes, ImageFormat::Png);
    written.map_err(|why| Error::Usage(format!("the picture cannot be written as PNG: {why}")))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_amplified_around_grey() {
        let (shape, clean) = (Shape::new(1, 2, 1), vec![0.5, 0.2]);
        let example = Example { attacked: vec![0.6, 0.2], clean };
        let picture = image::load_from_memory(&picture(&[example], shape).unwrap()).unwrap().to_rgb8();
        let (side, across) = (64, 2 * 64);
        assert_eq!(picture.dimensions(), (across + 2 * GAP, 3 * (side + GAP) + GAP));
        let at = |row: u32, x: u32| picture.get_pixel(GAP + x, GAP + row * (side + GAP)).0;
        assert_eq!([at(0, 0), at(0, side), at(1, 0)], [[128; 3], [51; 3], [153; 3]]);
        assert_eq!([at(2, 0), at(2, side)], [[255; 3], [128; 3]], "the largest change, and none");
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let example = Example { clean: vec![0.0; 4], attacked: vec![0.0; 4] };
        for (examples, shape) in [(vec![], Shape::new(2, 2, 1)), (vec![example], Shape::new(2, 1, 2))] {
            assert!(picture(&examples, shape).is_err());
        }
    }
}
