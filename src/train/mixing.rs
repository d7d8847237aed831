//! Batches changed before they are attacked: cutout, mixup, CutMix.

use candle_core::Tensor;

use crate::error::Result;
use crate::recipe::Augment;
use crate::seed::{Seed, Stream};

/// A batch behind its changes.
pub struct Mixed {
    /// `[n, h, w, c]`.
    pub images: Tensor,
    /// Shares of classes `[n, classes]`, where images were mixed.
    pub shares: Option<Vec<f64>>,
}

/// Changes a batch by a seed of its own; none where there is nothing to change.
///
/// # Errors
/// [`crate::error::Error::Tensor`] for images that are no f32 `[n, h, w, c]`.
pub fn mixed(rule: &Augment, images: &Tensor, labels: &[u32], classes: usize, seed: Seed) -> Result<Option<Mixed>> {
    let (n, h, w, c) = images.dims4()?;
    let mut stream = seed.stream();
    let mixes = rule.mixes() && f64::from(stream.uniform()) < rule.share;
    if rule.cutout == 0 && !mixes {
        return Ok(None);
    }
    let mut pixels: Vec<f32> = images.flatten_all()?.to_vec1()?;
    let size = h * w * c;
    if rule.cutout > 0 {
        for image in pixels.chunks_exact_mut(size) {
            let square = Rectangle::around(&mut stream, (h, w), (rule.cutout, rule.cutout));
            square.rows((w, c)).for_each(|row| image[row].fill(0.0));
        }
    }
    let mut shares = None;
    if mixes {
        let mut partners: Vec<usize> = (0..n).collect();
        stream.shuffle(&mut partners);
        let cuts = rule.mixup == 0.0 || rule.cutmix > 0.0 && stream.coin();
        let others = pixels.clone();
        let own = if cuts {
            let part = 1.0 - beta(&mut stream, rule.cutmix);
            let side = |length: usize| (part.sqrt() * length as f64) as usize;
            let cut = Rectangle::around(&mut stream, (h, w), (side(h), side(w)));
            for (image, partner) in pixels.chunks_exact_mut(size).zip(&partners) {
                let other = &others[partner * size..][..size];
                cut.rows((w, c)).for_each(|row| image[row.clone()].copy_from_slice(&other[row]));
            }
            1.0 - cut.area() as f64 / (h * w) as f64
        } else {
            let own = beta(&mut stream, rule.mixup);
            for (image, partner) in pixels.chunks_exact_mut(size).zip(&partners) {
                let other = &others[partner * size..][..size];
                image.iter_mut().zip(other).for_each(|(a, b)| *a = own as f32 * *a + (1.0 - own as f32) * b);
            }
            own
        };
        let mut rows = vec![0.0; n * classes];
        for (i, partner) in partners.iter().enumerate() {
            rows[i * classes + labels[i] as usize] += own;
            rows[i * classes + labels[*partner] as usize] += 1.0 - own;
        }
        shares = Some(rows);
    }
    Ok(Some(Mixed { images: Tensor::from_vec(pixels, (n, h, w, c), images.device())?, shares }))
}

/// Rows and columns of an image.
#[derive(Clone, Debug, PartialEq)]
struct Rectangle {
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
}

impl Rectangle {
    /// Of a size around a uniform pixel, clipped at the border.
    fn around(stream: &mut Stream, (h, w): (usize, usize), (high, wide): (usize, usize)) -> Self {
        let mut range = |length: usize, size: usize| {
            let middle = stream.below(length);
            middle.saturating_sub(size / 2)..(middle + size - size / 2).min(length)
        };
        let rows = range(h, high);
        Rectangle { rows, columns: range(w, wide) }
    }

    fn area(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// The scalars of each of its rows, in an image `[h, w, c]`.
    fn rows(&self, (w, c): (usize, usize)) -> impl Iterator<Item = std::ops::Range<usize>> {
        let columns = self.columns.clone();
        self.rows.clone().map(move |y| (y * w + columns.start) * c..(y * w + columns.end) * c)
    }
}

/// A draw of `Beta(a, a)`.
fn beta(stream: &mut Stream, a: f64) -> f64 {
    if a == 1.0 {
        return f64::from(stream.uniform());
    }
    let (x, y) = (gamma(stream, a), gamma(stream, a));
    // Both can round to 0 where `a` is tiny; the draw is then at one of the ends.
    if x + y > 0.0 { x / (x + y) } else { f64::from(u8::from(stream.coin())) }
}

/// A draw of the gamma distribution (Marsaglia and Tsang 2000; below shape 1 by their note in section 6).
fn gamma(stream: &mut Stream, shape: f64) -> f64 {
    let positive = |stream: &mut Stream| 1.0 - f64::from(stream.uniform());
    if shape < 1.0 {
        return gamma(stream, shape + 1.0) * positive(stream).powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = f64::from(stream.normal());
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && positive(stream).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    const LABELS: [u32; 3] = [0, 1, 2];

    /// Images of one grey each.
    fn greys() -> Tensor {
        let values: Vec<f32> = [0.25f32, 0.5, 1.0].iter().flat_map(|v| [*v; 6 * 6 * 2]).collect();
        Tensor::from_vec(values, (3, 6, 6, 2), &Device::Cpu).unwrap()
    }

    fn run(rule: Augment, seed: u64) -> (Vec<f32>, Option<Vec<f64>>) {
        let found = mixed(&rule, &greys(), &LABELS, 3, Seed::root(seed)).unwrap().unwrap();
        (found.images.flatten_all().unwrap().to_vec1().unwrap(), found.shares)
    }

    /// An image's mean grey is its classes' greys in the shares that the targets have.
    #[test]
    fn targets_have_the_shares_of_the_pixels() {
        let cutmix = Augment { cutmix: 1.0, share: 1.0, ..Augment::NONE };
        let mixup = Augment { mixup: 0.4, share: 1.0, ..Augment::NONE };
        let mut cut = 0;
        for seed in 0..40 {
            for rule in [cutmix, mixup] {
                let (pixels, shares) = run(rule, seed);
                let shares = shares.unwrap();
                for (image, row) in pixels.chunks_exact(72).zip(shares.chunks_exact(3)) {
                    let mean = image.iter().map(|v| f64::from(*v)).sum::<f64>() / 72.0;
                    let want = 0.25 * row[0] + 0.5 * row[1] + row[2];
                    assert!((mean - want).abs() < 1e-6, "{rule:?} {seed}: {mean} against {want}");
                    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                }
                let of_two = pixels.chunks_exact(72).any(|image| image.iter().any(|v| *v != image[0]));
                cut += u32::from(of_two && rule == cutmix);
            }
        }
        assert!(cut > 20, "{cut}");
    }

    #[test]
    fn cutout_blackens_a_square_and_leaves_the_targets() {
        let rule = Augment { cutout: 3, ..Augment::NONE };
        let mut whole = 0;
        for seed in 0..40 {
            let (pixels, shares) = run(rule, seed);
            assert_eq!(shares, None);
            for image in pixels.chunks_exact(72) {
                let black = image.iter().filter(|v| **v == 0.0).count();
                assert!((2..=18).contains(&black) && black % 2 == 0, "{black}");
                whole += usize::from(black == 18);
            }
        }
        assert!(whole > 20, "{whole}");
    }

    #[test]
    fn a_share_of_the_batches_is_mixed() {
        let rule = Augment { mixup: 1.0, cutmix: 1.0, share: 0.3, ..Augment::NONE };
        let some = |seed| mixed(&rule, &greys(), &LABELS, 3, Seed::root(seed)).unwrap().is_some();
        let count = (0..400).filter(|seed| some(*seed)).count();
        assert!((90..150).contains(&count), "{count}");
    }

    /// Mean 1/2 and variance `1 / (4 (2a + 1))`.
    #[test]
    fn beta_has_its_moments() {
        for a in [0.2, 1.0, 1.4] {
            let mut stream = Seed::root(5).stream();
            let draws: Vec<f64> = (0..20_000).map(|_| beta(&mut stream, a)).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            let want = 0.25 / (2.0 * a + 1.0);
            assert!((mean - 0.5).abs() < 0.01 && (variance / want - 1.0).abs() < 0.05, "{a}: {mean} {variance} {want}");
            assert!(draws.iter().all(|d| (0.0..=1.0).contains(d)));
        }
    }
}
