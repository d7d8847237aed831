//! Splits, batches and the report: disjoint, balanced, and depending on nothing but their inputs.

use proptest::prelude::*;
use robustnas::arch::op::Shape;
use robustnas::config::Split;
use robustnas::data::batch::{Augment, epoch_order, fill, labels};
use robustnas::data::check::inspect;
use robustnas::data::split::{Splits, index_id};
use robustnas::data::{Dataset, Images};
use robustnas::error::Error;
use robustnas::seed::Seed;

/// One-pixel images with the given labels; pixel values follow the index.
fn dataset(train: Vec<u32>, test: Vec<u32>, classes: usize) -> Dataset {
    let images = |labels: Vec<u32>| Images { pixels: (0..labels.len()).map(|i| i as u8).collect(), labels };
    Dataset {
        name: "made".into(),
        classes: (0..classes).map(|c| format!("c{c}")).collect(),
        image: Shape::new(1, 1, 1),
        train: images(train),
        test: images(test),
        notes: vec![],
    }
}

fn split(train: usize, validation: usize, weights_share: f64, test: usize) -> Split {
    Split { train, validation, weights_share, test, crop_pad: 0, flip: false }
}

fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn parts_are_disjoint_sized_and_in_proportion(
        train in prop::collection::vec(0u32..4, 8..300),
        test in prop::collection::vec(0u32..4, 1..50),
        cut in 1usize..100,
        held in 0usize..100,
        share in 0.2f64..1.0,
        run in any::<u64>(),
    ) {
        let used = 4 + (train.len() - 4) * cut / 100;
        let held = (used - 3) * held / 100;
        let data = dataset(train, test, 4);
        let config = split(used, held, share, 0);
        let got = Splits::draw(&data, &config, Seed::root(run)).unwrap();
        prop_assert_eq!(&got, &Splits::draw(&data, &config, Seed::root(run)).unwrap());
        got.verify(data.train.len(), data.test.len()).unwrap();
        prop_assert_eq!(got.validation.len(), held);
        prop_assert_eq!(got.weights.len() + got.arch.len(), used - held);
        prop_assert_eq!(got.weights.len(), (share * (used - held) as f64).round() as usize);
        prop_assert_eq!(got.test.len(), data.test.len());
        for part in [&got.weights, &got.arch, &got.validation] {
            for class in 0..4 {
                let of = |list: &mut dyn Iterator<Item = u32>| list.filter(|l| *l == class).count() as f64;
                let here = of(&mut labels(&data.train, part).into_iter());
                let fair = of(&mut data.train.labels.iter().copied()) * part.len() as f64 / data.train.len() as f64;
                // A part is the difference of two prefixes; each has every class to within its own rounding.
                prop_assert!((here - fair).abs() <= 4.0, "class {} has {} images, fair is {}", class, here, fair);
            }
        }
        // Pixels have no say, nor do the other half's labels.
        let mut other = data.clone();
        other.train.pixels.fill(7);
        other.test.labels.reverse();
        let again = Splits::draw(&other, &config, Seed::root(run)).unwrap();
        prop_assert_eq!((again.weights, again.arch, again.validation), (got.weights, got.arch, got.validation));
    }

    #[test]
    fn an_image_is_augmented_alike_in_every_batch(
        run in any::<u64>(), pad in 0usize..4, flip in any::<bool>(), cut in 0usize..7,
    ) {
        let shape = Shape::new(5, 4, 3);
        let images = Images { pixels: (0..7 * 60).map(|i| (i % 256) as u8).collect(), labels: vec![0; 7] };
        let (augment, seed) = (Augment { crop_pad: pad, flip }, Seed::root(run));
        let order = epoch_order(&[0, 1, 2, 3, 4, 5, 6], seed);
        let mut whole = vec![f32::NAN; 7 * 60];
        fill(&images, shape, &order, Some((&augment, seed)), &mut whole);
        let (mut head, mut tail) = (vec![f32::NAN; cut * 60], vec![f32::NAN; (7 - cut) * 60]);
        fill(&images, shape, &order[..cut], Some((&augment, seed)), &mut head);
        fill(&images, shape, &order[cut..], Some((&augment, seed)), &mut tail);
        prop_assert_eq!(&whole, &[head, tail].concat());
        // Every augmented image is one of the crops of the padded image, mirrored or not.
        for (n, &i) in order.iter().enumerate() {
            let pad = pad as isize;
            let found = (-pad..=pad).flat_map(|dy| (-pad..=pad).map(move |dx| (dy, dx))).any(|(dy, dx)| {
                [false, true].into_iter().any(|mirror| {
                    (0..60).all(|k| {
                        let (y, x, c) = (k as isize / 12, k as isize / 3 % 4, k % 3);
                        let (sy, sx) = (y + dy, if mirror { 3 - x } else { x } + dx);
                        let inside = (0..5).contains(&sy) && (0..4).contains(&sx);
                        let byte = if inside { images.image(i as usize)[(sy * 12 + sx * 3) as usize + c] } else { 0 };
                        (flip || !mirror) && whole[n * 60 + k] == f32::from(byte) / 255.0
                    })
                })
            });
            prop_assert!(found, "image {} is no crop of itself", i);
        }
    }
}

#[test]
fn validation_stays_when_more_images_train() {
    let data = dataset((0..500).map(|i| i % 5).collect(), vec![0; 9], 5);
    let draw = |train| Splits::draw(&data, &split(train, 50, 0.5, 4), Seed::root(3)).unwrap();
    assert_eq!(draw(200).validation, draw(0).validation);
    assert_eq!(draw(0).retrain().len(), 450);
    let per_class = |part: &[u32], class| labels(&data.train, part).iter().filter(|l| **l == class).count();
    for class in 0..5 {
        assert_eq!((per_class(&draw(200).validation, class), per_class(&draw(200).weights, class)), (10, 15));
    }
    assert_ne!(draw(0).validation, Splits::draw(&data, &split(0, 50, 0.5, 4), Seed::root(4)).unwrap().validation);
}

#[test]
fn impossible_splits_name_the_counts() {
    let data = dataset(vec![0; 100], vec![0; 20], 1);
    for (config, words) in [
        (split(101, 0, 0.5, 0), ["101", "100"]),
        (split(0, 0, 0.5, 21), ["21", "20"]),
        (split(50, 50, 0.5, 0), ["50 of 50", "none"]),
        (split(50, 10, 0.001, 0), ["40", "none"]),
        (split(0, 0, 1.5, 0), ["1.5", "0 to 1"]),
        (split(0, 0, f64::NAN, 0), ["NaN", "0 to 1"]),
    ] {
        match Splits::draw(&data, &config, Seed::root(0)) {
            Err(Error::Usage(message)) => assert!(words.iter().all(|w| message.contains(w)), "{message}"),
            other => panic!("{config:?}: {other:?}"),
        }
    }
}

#[test]
fn overlapping_parts_are_refused() {
    let splits = Splits { weights: vec![0, 1], arch: vec![2], validation: vec![3, 1], test: vec![0] };
    let message = splits.verify(4, 1).unwrap_err().to_string();
    assert!(message.contains("image 1") && message.contains("weights") && message.contains("validation"), "{message}");
    assert!(splits.verify(3, 1).unwrap_err().to_string().contains("image 3"));
    assert!(Splits { validation: vec![3], ..splits }.verify(4, 1).is_ok());
}

#[test]
fn indices_have_an_id_of_their_set() {
    assert_eq!(index_id(&[1, 2]).len(), 16);
    assert_eq!(index_id(&[1, 2]), index_id(&[2, 1]));
    assert_ne!(index_id(&[1, 2]), index_id(&[1, 3]));
    assert_ne!(index_id(&[]), index_id(&[0]));
}

#[test]
fn pixels_are_bytes_over_255_exactly() {
    let images = Images { pixels: (0..=255).collect(), labels: vec![0, 1] };
    let shape = Shape::new(8, 16, 1);
    let mut out = vec![0.0; 256];
    fill(&images, shape, &[1, 0], None, &mut out);
    assert!((0..256).all(|k| out[k] == ((k + 128) % 256) as f32 / 255.0));
    assert_eq!(labels(&images, &[1, 0]), [1, 0]);
    // A crop of no padding without a flip is the image itself.
    let mut same = vec![f32::NAN; 256];
    fill(&images, shape, &[1, 0], Some((&Augment { crop_pad: 0, flip: false }, Seed::root(1))), &mut same);
    assert_eq!(out, same);
}

#[test]
fn the_report_counts_and_warns() {
    let mut data = dataset(vec![0, 0, 0, 1, 1, 1], vec![0, 1], 2);
    data.test.pixels = vec![100, 101];
    let clean = inspect("made".into(), &data);
    assert_eq!(clean.warnings, Vec::<String>::new());
    assert_eq!((clean.classes[1].train, clean.classes[1].test), (3, 1));
    assert!((clean.mean[0] - 2.5 / 255.0).abs() < 1e-12 && (clean.std[0] * 255.0 - (35f64 / 12.0).sqrt()).abs() < 1e-9);
    let json = serde_json::to_string(&clean).unwrap();
    assert_eq!(serde_json::from_str::<robustnas::data::check::Report>(&json).unwrap(), clean);

    let id = data.content_id();
    data.test.pixels[0] = 3;
    assert_ne!(data.content_id(), id);
    data.train.pixels[1] = 0;
    data.train.pixels[5] = 0;
    data.train.labels = vec![0, 0, 0, 0, 0, 1];
    data.classes.push("void".into());
    let warnings = inspect("made".into(), &data).warnings.join("\n");
    for words in
        ["1 of 2 test images", "1 training images repeat another one of", "different label", "void", "`c0` has 5"]
    {
        assert!(warnings.contains(words), "{words}: {warnings}");
    }
}
