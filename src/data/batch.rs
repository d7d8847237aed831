//! Images to batches: pixels in `[0, 1]`, cropped and mirrored at random where asked.

use rayon::prelude::*;

use super::Images;
use crate::arch::op::Shape;
use crate::seed::Seed;

/// Random changes to a training image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Augment {
    /// Zero pixels added on each side before a crop back to size; 0: no crop.
    pub crop_pad: usize,
    /// Whether half of the images are mirrored left to right.
    pub flip: bool,
}

/// One image's draw: how far the crop is from the image's corner, and whether it is mirrored.
#[derive(Clone, Copy, Default)]
struct Draw {
    down: isize,
    right: isize,
    flip: bool,
}

impl Augment {
    /// Every number is drawn whether or not it is used: turning the flip off does not change the crops.
    fn draw(&self, seed: Seed) -> Draw {
        let mut rng = seed.stream();
        let span = 2 * self.crop_pad + 1;
        let shift = |at: usize| at as isize - self.crop_pad as isize;
        let (down, right) = (shift(rng.below(span)), shift(rng.below(span)));
        Draw { down, right, flip: rng.coin() && self.flip }
    }
}

/// Writes the images at `indices` as `[indices.len(), h, w, c]`, each value `byte / 255` rounded to the nearest 32-bit
/// float.
///
/// With `augment`, an image's change depends on the seed and on its index in the data set only, so a batch may be cut
/// anywhere; give each epoch its own seed.
///
/// Panics when `out` is not of that size, when an index does not exist or when `shape` is not the images' shape: these
/// are mistakes of the caller, not of the data.
pub fn fill(images: &Images, shape: Shape, indices: &[u32], augment: Option<(&Augment, Seed)>, out: &mut [f32]) {
    assert_eq!(out.len(), indices.len() * shape.len(), "a batch of {} images of {shape}", indices.len());
    assert_eq!(images.pixels.len(), images.len() * shape.len(), "images are not {shape}");
    out.par_chunks_exact_mut(shape.len()).zip(indices).for_each(|(out, &i)| {
        let image = images.image(i as usize);
        match augment {
            None => convert(image, out),
            Some((augment, seed)) => place(image, shape, augment.draw(seed.index(u64::from(i))), out),
        }
    });
}

fn convert(bytes: &[u8], out: &mut [f32]) {
    for (value, &byte) in out.iter_mut().zip(bytes) {
        *value = f32::from(byte) / 255.0;
    }
}

/// Copies the part of a zero-padded image that the crop sees, row by row.
fn place(image: &[u8], shape: Shape, draw: Draw, out: &mut [f32]) {
    let Shape { h, w, c } = shape;
    out.fill(0.0);
    for (y, row) in out.chunks_exact_mut(w * c).enumerate() {
        let from = y as isize + draw.down;
        if !(0..h as isize).contains(&from) {
            continue;
        }
        let source = &image[from as usize * w * c..][..w * c];
        for x in 0..w {
            let column = (if draw.flip { w - 1 - x } else { x }) as isize + draw.right;
            if (0..w as isize).contains(&column) {
                convert(&source[column as usize * c..][..c], &mut row[x * c..][..c]);
            }
        }
    }
}

/// The labels at `indices`. Panics when an index does not exist.
pub fn labels(images: &Images, indices: &[u32]) -> Vec<u32> {
    indices.iter().map(|&i| images.labels[i as usize]).collect()
}

/// One epoch's order: `indices`, shuffled by `seed`.
pub fn epoch_order(indices: &[u32], seed: Seed) -> Vec<u32> {
    let mut order = indices.to_vec();
    seed.stream().shuffle(&mut order);
    order
}
