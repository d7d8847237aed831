//! Types for quantities, so that no bare number needs a comment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A rational number that prints as it was written: `8/255` stays `8/255`.
///
/// Perturbation sizes and attack steps are fractions because the field mixes `8/255`, `0.031` and `0.03137`, which
/// are three different threat models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fraction {
    num: u32,
    den: u32,
}

impl Fraction {
    /// Zero, written `0`.
    pub const ZERO: Fraction = Fraction { num: 0, den: 1 };

    /// `num / den`; `den` must be positive.
    pub const fn new(num: u32, den: u32) -> Self {
        assert!(den > 0, "a denominator is positive");
        Fraction { num, den }
    }

    /// `num / 255`, the customary unit of pixel perturbations.
    pub const fn of_255(num: u32) -> Self {
        Fraction { num, den: 255 }
    }

    /// Numerator and denominator, as written.
    pub fn terms(self) -> (u32, u32) {
        (self.num, self.den)
    }

    /// The value as a 64-bit float.
    pub fn value(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// The `divisor`-th part, in lowest terms: a quarter of `8/255` is `2/255`. `None` where a term gets too large, or
    /// for 0.
    pub fn part(self, divisor: u32) -> Option<Self> {
        let (mut a, mut b) = (self.num, self.den.checked_mul(divisor)?);
        let (num, den) = (a, b);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        (a > 0 && den > 0).then(|| Fraction { num: num / a, den: den / a })
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 { write!(f, "{}", self.num) } else { write!(f, "{}/{}", self.num, self.den) }
    }
}

impl FromStr for Fraction {
    type Err = String;

    /// Reads `8/255`, `0.5` or `1`.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a non-negative fraction such as 8/255 or 0.5");
        let text_trimmed = text.trim();
        if let Some((num, den)) = text_trimmed.split_once('/') {
            let num = num.trim().parse().map_err(|_| bad())?;
            let den = den.trim().parse().map_err(|_| bad())?;
            if den == 0 {
                return Err(bad());
            }
            return Ok(Fraction { num, den });
        }
        let (whole, frac) = text_trimmed.split_once('.').unwrap_or((text_trimmed, ""));
        let digits = format!("{whole}{frac}");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let den = 10u32.checked_pow(frac.len() as u32).ok_or_else(bad)?;
        Ok(Fraction { num: digits.parse().map_err(|_| bad())?, den })
    }
}

impl Serialize for Fraction {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fraction {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Fraction;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a fraction in quotes such as \"8/255\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Fraction, E> {
                text.parse().map_err(E::custom)
            }
        }
        d.deserialize_any(Text)
    }
}

impl schemars::JsonSchema for Fraction {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fraction".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": r"^\d+(/\d+|\.\d+)?$", "description": "a fraction such as 8/255"})
    }
}

/// Multiply-accumulates of convolutions and linear layers for one image, bias-free.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Macs(pub u64);

/// Trainable scalars.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Params(pub u64);

fn si(f: &mut fmt::Formatter<'_>, value: u64) -> fmt::Result {
    let v = value as f64;
    let text = match value {
        0..1_000 => format!("{value}"),
        1_000..1_000_000 => format!("{:.1}k", v / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2}M", v / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.3}G", v / 1e9),
        _ => format!("{:.3}T", v / 1e12),
    };
    f.pad(&text)
}

impl fmt::Display for Macs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        si(f, self.0)
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        si(f, self.0)
    }
}

impl FromStr for Macs {
    type Err = String;

    /// Reads `20M`, `1.5G`, `400k` or a plain number of multiply-accumulates.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a count of multiply-accumulates such as 20M or 1.5G");
        let t = text.trim();
        let (digits, unit) = match t.as_bytes().last() {
            Some(b'k' | b'K') => (&t[..t.len() - 1], 1e3),
            Some(b'm' | b'M') => (&t[..t.len() - 1], 1e6),
            Some(b'g' | b'G') => (&t[..t.len() - 1], 1e9),
            Some(b't' | b'T') => (&t[..t.len() - 1], 1e12),
            _ => (t, 1.0),
        };
        let value: f64 = digits.parse().map_err(|_| bad())?;
        if !value.is_finite() || value <= 0.0 {
            return Err(bad());
        }
        Ok(Macs((value * unit).round() as u64))
    }
}

/// Hits out of a total, as integers, so that sums are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tally {
    /// Samples that count as a success.
    pub hit: u64,
    /// Samples in all.
    pub total: u64,
}

impl Tally {
    /// The share of hits in `[0, 1]`; zero without samples.
    pub fn rate(self) -> f64 {
        if self.total == 0 { 0.0 } else { self.hit as f64 / self.total as f64 }
    }

    /// The Wilson score interval at 95 %.
    pub fn wilson95(self) -> (f64, f64) {
        if self.total == 0 {
            return (0.0, 1.0);
        }
        let (n, p, z) = (self.total as f64, self.rate(), 1.959_963_984_540_054);
        let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        ((centre - half).max(0.0), (centre + half).min(1.0))
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.hit += other.hit;
        self.total += other.total;
    }
}

impl FromIterator<bool> for Tally {
    /// Counts samples, each a hit or not.
    fn from_iter<I: IntoIterator<Item = bool>>(samples: I) -> Self {
        samples
            .into_iter()
            .fold(Tally::default(), |sum, hit| Tally { hit: sum.hit + u64::from(hit), total: sum.total + 1 })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.2}%", 100.0 * self.rate()))
    }
}

/// A count in groups of three digits: `36 479 194`, `36,479,194`.
pub fn grouped(count: u64, between: &str) -> String {
    let digits = count.to_string();
    let first = digits.len() % 3;
    let starts = (first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]);
    let groups: Vec<&str> = Some(&digits[..first]).filter(|head| !head.is_empty()).into_iter().chain(starts).collect();
    groups.join(between)
}

/// Whether a count is none, so that a file can leave it out.
pub fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_print_as_written() {
        for text in ["8/255", "0", "1", "2/255"] {
            assert_eq!(text.parse::<Fraction>().unwrap().to_string(), text);
        }
        assert_eq!("0.031".parse::<Fraction>().unwrap().to_string(), "31/1000");
        for text in ["", "8/0", "-1", "1e3", "a/b", "8/", "."] {
            assert!(text.parse::<Fraction>().is_err(), "{text}");
        }
    }

    #[test]
    fn parts_are_in_lowest_terms() {
        let part = |text: &str, n| text.parse::<Fraction>().unwrap().part(n).map(|f| f.to_string());
        assert_eq!(part("8/255", 4).as_deref(), Some("2/255"));
        assert_eq!(part("8/255", 10).as_deref(), Some("4/1275"));
        assert_eq!(part("0.5", 1).as_deref(), Some("1/2"));
        assert_eq!(part("1/4294967295", 2), None);
        assert_eq!(part("1", 0), None);
    }

    #[test]
    fn macs_read_units() {
        assert_eq!("20M".parse(), Ok(Macs(20_000_000)));
        assert_eq!("1.5G".parse(), Ok(Macs(1_500_000_000)));
        assert!("0M".parse::<Macs>().is_err());
        assert!("-3M".parse::<Macs>().is_err());
        assert_eq!(Macs(423_796_000).to_string(), "423.80M");
    }

    #[test]
    fn wilson_interval_of_half() {
        let (lo, hi) = Tally { hit: 50, total: 100 }.wilson95();
        assert!((lo - 0.403_831_5).abs() < 1e-6 && (hi - 0.596_168_5).abs() < 1e-6);
    }

    #[test]
    fn digits_stand_in_threes() {
        let found = [0, 7, 42, 999, 1_000, 36_479_194, 123_456].map(|count| grouped(count, ","));
        assert_eq!(found, ["0", "7", "42", "999", "1,000", "36,479,194", "123,456"]);
    }
}
