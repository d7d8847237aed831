//! The built-in images: fixed bytes, balanced, and not to be had by a linear classifier.

use robustnas::data::check::inspect;
use robustnas::data::synthetic::{TEST, TRAIN, generate};
use robustnas::data::{Dataset, Images};

/// Scores made with these images are comparable across versions only while the bytes stay; if this fails, the
/// generator has changed and so has every result.
#[test]
fn the_bytes_are_pinned() {
    assert_eq!(generate(TRAIN, TEST).content_id(), "d89f54e3d1696bb9");
}

#[test]
fn an_image_does_not_depend_on_the_counts() {
    let (small, large) = (generate(30, 10), generate(60, 20));
    assert_eq!(small.train.pixels[..], large.train.pixels[..small.train.pixels.len()]);
    assert_eq!(small.test.pixels[..], large.test.pixels[..small.test.pixels.len()]);
    let serial = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| generate(60, 20));
    assert_eq!(serial, large);
}

#[test]
fn the_report_finds_nothing_wrong() {
    let report = inspect("synthetic".into(), &generate(TRAIN, TEST));
    assert_eq!(report.warnings, Vec::<String>::new());
    assert!(report.classes.iter().all(|c| (c.train, c.test) == (800, 200)));
    assert!(report.mean.iter().all(|m| (0.4..0.6).contains(m)), "{:?}", report.mean);
    assert!(report.std.iter().all(|s| (0.15..0.35).contains(s)), "{:?}", report.std);
}

/// Softmax regression on centred pixels by stochastic gradient descent; the share of test images it gets right.
fn linear_accuracy(data: &Dataset, epochs: usize) -> f64 {
    const CLASSES: usize = 10;
    let size = data.image.len();
    let pixels = |images: &Images, i: usize| -> Vec<f32> {
        images.image(i).iter().map(|&b| f32::from(b) / 255.0 - 0.5).collect()
    };
    let mut weights = vec![0f32; CLASSES * size];
    let scores = |weights: &[f32], x: &[f32]| -> [f32; CLASSES] {
        std::array::from_fn(|c| weights[c * size..(c + 1) * size].iter().zip(x).map(|(w, x)| w * x).sum())
    };
    for epoch in 0..epochs {
        let rate = 0.002 * (1.0 - epoch as f32 / epochs as f32);
        for i in 0..data.train.len() {
            let x = pixels(&data.train, i);
            let z = scores(&weights, &x);
            let top = z.iter().copied().fold(f32::MIN, f32::max);
            let e = z.map(|z| (z - top).exp());
            let sum: f32 = e.iter().sum();
            for c in 0..CLASSES {
                let slope = e[c] / sum - f32::from(u8::from(data.train.labels[i] as usize == c));
                for (w, x) in weights[c * size..(c + 1) * size].iter_mut().zip(&x) {
                    *w -= rate * slope * x;
                }
            }
        }
    }
    let hits = (0..data.test.len()).filter(|&i| {
        let z = scores(&weights, &pixels(&data.test, i));
        let best = (0..CLASSES).max_by(|&a, &b| z[a].total_cmp(&z[b])).unwrap();
        best == data.test.labels[i] as usize
    });
    hits.count() as f64 / data.test.len() as f64
}

#[test]
fn a_linear_classifier_learns_little() {
    let mut data = generate(TRAIN, TEST);
    let accuracy = linear_accuracy(&data, 6);
    println!("linear classifier: {:.1} % of the test images", 100.0 * accuracy);
    assert!(accuracy < 0.5, "{accuracy}");

    // The control: the same classifier on the same images finds a sign of the class when there is one.
    for images in [&mut data.train, &mut data.test] {
        for (image, label) in images.pixels.chunks_exact_mut(3072).zip(&images.labels) {
            for (class, block) in image[..960].chunks_exact_mut(96).enumerate() {
                block.fill(if class as u32 == *label { 255 } else { 0 });
            }
        }
    }
    let accuracy = linear_accuracy(&data, 2);
    assert!(accuracy > 0.9, "{accuracy}");
}
