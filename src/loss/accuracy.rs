//! Whether answers are right.

use crate::engine::Logits;

/// Whether a row's largest logit is the label's; of equal ones the first counts. Never, where a logit is no number.
pub fn is_correct(row: &[f64], label: usize) -> bool {
    let best = row.iter().enumerate().fold(0, |b, (k, z)| if *z > row[b] { k } else { b });
    best == label && row.iter().all(|z| z.is_finite())
}

/// Whether each row's largest logit is the label's.
pub fn correct<'a>(logits: &'a Logits, labels: &'a [u32]) -> impl Iterator<Item = bool> + 'a {
    logits.rows().zip(labels).map(|(row, label)| is_correct(row, *label as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_logit_decides_and_nan_is_wrong() {
        let logits = Logits { values: vec![1.0, 2.0, 3.0, 0.0, 0.0, 5.0], classes: 3 };
        assert_eq!(correct(&logits, &[0, 2]).collect::<Vec<_>>(), [false, true]);
        assert!(is_correct(&[1.0, 1.0], 0) && !is_correct(&[1.0, 1.0], 1));
        assert!(!is_correct(&[1.0, f64::NAN], 0) && !is_correct(&[f64::INFINITY, 0.0], 0));
    }
}
