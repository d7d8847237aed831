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
    /// Its class, and what the network takes the attacked image for.
    pub classes: [String; 2],
    /// The attack.
    pub attack: String,
}

/// Pixels above the columns and beside the rows that their words take; builds without `png` have no font.
const HEAD: u32 = if cfg!(feature = "png") { 40 } else { 0 };
const MARGIN: u32 = if cfg!(feature = "png") { 70 } else { 0 };
/// The rows.
#[cfg(feature = "png")]
const ROWS: [&str; 3] = ["clean", "attacked", "change"];

/// One column an example: the clean image, the attacked one, and their difference, amplified around grey so that the
/// largest change of the example is black or white. Above it the class, what the network takes the attacked image for, and the
/// attack. Encoded as PNG.
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
    let (across, down) = (MARGIN + size(w, examples.len()), HEAD + size(h, 3));
    let mut picture = RgbImage::from_pixel(across, down, Rgb([255; 3]));
    #[cfg(feature = "png")]
    captions(&mut picture, examples, [w + GAP, h + GAP])?;
    for (column, example) in examples.iter().enumerate() {
        let change: Vec<f32> = example.attacked.iter().zip(&example.clean).map(|(a, c)| a - c).collect();
        let largest = change.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
        let amplified: Vec<f32> = change.iter().map(|v| 0.5 + 0.5 * v / largest).collect();
        for (row, pixels) in [&example.clean, &example.attacked, &amplified].into_iter().enumerate() {
            let (left, top) = (MARGIN + column as u32 * (w + GAP) + GAP, HEAD + row as u32 * (h + GAP) + GAP);
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

/// Writes the words of rows and columns, which are `pitch` pixels apart.
#[cfg(feature = "png")]
fn captions(picture: &mut RgbImage, examples: &[Example], pitch: [u32; 2]) -> Result<()> {
    use super::svg::{Anchor, Svg, text_width};
    const SIZE: f64 = 12.0;
    let fitted = |text: &str| {
        let mut text = text.to_owned();
        while text_width(&text, SIZE) > f64::from(pitch[0] - GAP) && text.pop().is_some() {}
        text
    };
    let mut svg = Svg::new(f64::from(picture.width()), f64::from(picture.height()));
    for (column, Example { classes: [class, answer], attack, .. }) in examples.iter().enumerate() {
        let left = f64::from(MARGIN + GAP + column as u32 * pitch[0]);
        svg.text(left, 16.0, SIZE, Anchor::Start, "#222", &fitted(&format!("{class}: {answer}")));
        svg.text(left, 32.0, SIZE, Anchor::Start, "#666", &fitted(attack));
    }
    for (row, word) in ROWS.into_iter().enumerate() {
        let middle = f64::from(HEAD + GAP + row as u32 * pitch[1]) + f64::from(pitch[1] - GAP) / 2.0;
        svg.text(f64::from(MARGIN), middle, SIZE, Anchor::End, "#222", word);
    }
    let words = super::png::rasterise(&svg.finish(), 1.0)?;
    let words = image::load_from_memory(&words).map_err(|why| Error::Internal(format!("a picture of words: {why}")))?;
    image::imageops::replace(picture, &words.to_rgb8(), 0, 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(clean: Vec<f32>, attacked: Vec<f32>) -> Example {
        Example { clean, attacked, classes: ["frog".into(), "deer".into()], attack: "fgsm".into() }
    }

    #[test]
    fn a_change_is_amplified_around_grey() {
        let shape = Shape::new(1, 2, 1);
        let example = example(vec![0.5, 0.2], vec![0.6, 0.2]);
        let picture = image::load_from_memory(&picture(&[example], shape).unwrap()).unwrap().to_rgb8();
        let (side, across) = (64, 2 * 64);
        assert_eq!(picture.dimensions(), (MARGIN + across + 2 * GAP, HEAD + 3 * (side + GAP) + GAP));
        let at = |row: u32, x: u32| picture.get_pixel(MARGIN + GAP + x, HEAD + GAP + row * (side + GAP)).0;
        let dark = picture.enumerate_pixels().filter(|(x, y, pixel)| (*x < MARGIN || *y < HEAD) && pixel.0[0] < 128);
        assert_eq!(dark.count() > 50, cfg!(feature = "png"), "words stand above and beside the images");
        assert_eq!([at(0, 0), at(0, side), at(1, 0)], [[128; 3], [51; 3], [153; 3]]);
        assert_eq!([at(2, 0), at(2, side)], [[255; 3], [128; 3]], "the largest change, and none");
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let example = example(vec![0.0; 4], vec![0.0; 4]);
        for (examples, shape) in [(vec![], Shape::new(2, 2, 1)), (vec![example], Shape::new(2, 1, 2))] {
            assert!(picture(&examples, shape).is_err());
        }
    }
}
