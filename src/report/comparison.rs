//! One night's runs against another's: hypervolumes and the best searched networks, with what images and seeds leave open.
//!
//! Runs that were measured on the same images are resampled together, image by image; where a side has several runs, which
//! differ in the seed, its runs are resampled as well. An interval of one run a side knows nothing of the luck of its seed.

use std::fmt::Write;

use serde::Serialize;

use super::table::{Cell, align, number, word};
use crate::error::{Error, Result};
use crate::rank::{Point, Reference, hypervolume};
use crate::record::{Flags, OriginKind};
use crate::seed::{Seed, Stream};
use crate::study::Interval;
use crate::units::Macs;

/// Resamples from which intervals are taken.
const RESAMPLES: u64 = 2000;

/// A network of a run, measured on the test images.
#[derive(Clone, Debug)]
pub struct Network {
    /// The budget it was scaled to.
    pub budget: Macs,
    /// What it is.
    pub kind: OriginKind,
    /// Its cost.
    pub macs: Macs,
    /// Whether it is the first of its kind in the ranking of its budget, which validation images make.
    pub first: bool,
    /// Which images it is right on.
    pub flags: Flags,
}

/// Runs that differ in the seed alone, or one.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its name.
    pub name: String,
    /// The networks of each run.
    pub runs: Vec<Vec<Network>>,
}

/// One number of both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Of what.
    pub what: String,
    /// The number is a share of images and not a volume.
    pub is_share: bool,
    /// Of the first side, the mean over its runs.
    pub before: Interval,
    /// Of the second.
    pub after: Interval,
    /// Second less first.
    pub difference: Interval,
}

/// Two sides and their numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Version of this document.
    pub schema_version: u32,
    /// The first side.
    pub before: String,
    /// The second.
    pub after: String,
    /// Runs of each.
    pub runs: [usize; 2],
    /// Test images.
    pub images: usize,
    /// What differs in the configurations.
    pub changed: Vec<String>,
    /// The numbers.
    pub lines: Vec<Line>,
}

/// A network by bits instead of digits.
struct Bits {
    budget: Macs,
    kind: OriginKind,
    macs: Macs,
    first: bool,
    clean: Vec<bool>,
    robust: Vec<bool>,
}

/// Which number is asked for.
#[derive(Clone, Copy)]
enum Ask {
    Volume(Option<OriginKind>),
    Robust(Macs),
    Clean(Macs),
}

impl Comparison {
    /// Compares two sides; `changed` is what differs in their configurations, in words.
    ///
    /// # Errors
    /// [`Error::Usage`] for networks that were measured on different images, and for sides without a network or a budget in
    /// common.
    pub fn of(before: &Side, after: &Side, changed: Vec<String>) -> Result<Comparison> {
        let all = || [before, after].into_iter().flat_map(|side| side.runs.iter().flatten().map(move |n| (side, n)));
        let Some((_, one)) = all().next() else {
            return Err(Error::Usage(format!("{} has no network that was measured on test images", before.name)));
        };
        if let Some((side, _)) = all().find(|(_, network)| network.flags.ids != one.flags.ids) {
            return Err(Error::Usage(format!(
                "networks of {} were measured on other test images than the first of {}; runs are compared on the same \
                 images alone: choose the same data and split.test",
                side.name, before.name
            )));
        }
        let [ours, theirs] = [before, after].map(|side| side.runs.iter().map(|run| bits(run)).collect::<Vec<_>>());
        let budgets = |runs: &[Vec<Bits>]| {
            let mut all: Vec<Macs> = runs.iter().flatten().filter(|n| n.is_best_searched()).map(|n| n.budget).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let common: Vec<Macs> = budgets(&ours).into_iter().filter(|b| budgets(&theirs).contains(b)).collect();
        let largest = all().map(|(_, network)| network.budget).max();
        let (Some(largest), false) = (largest, common.is_empty()) else {
            let words = "have no budget in common at which both have a searched network with test numbers";
            return Err(Error::Usage(format!("{} and {} {words}", before.name, after.name)));
        };
        let mut asked = vec![
            ("hypervolume of all networks".to_owned(), Ask::Volume(None)),
            ("hypervolume of the searched".to_owned(), Ask::Volume(Some(OriginKind::Searched))),
        ];
        for budget in common {
            asked.push((format!("{budget}, best searched, robust"), Ask::Robust(budget)));
            asked.push((format!("{budget}, best searched, clean"), Ask::Clean(budget)));
        }
        let reference = Reference::above(largest);
        let images = one.flags.ids.len();
        let plain = vec![1; images];
        let numbers = |runs: &[&Vec<Bits>], times: &[u32]| -> Vec<f64> {
            asked.iter().map(|(_, ask)| mean(runs, |run| ask.number(run, times, reference))).collect()
        };
        let every = |runs: &[Vec<Bits>]| numbers(&runs.iter().collect::<Vec<_>>(), &plain);
        let (is, was) = (every(&theirs), every(&ours));
        let mut resampled = vec![[Vec::new(), Vec::new(), Vec::new()]; asked.len()];
        for i in 0..RESAMPLES {
            let mut stream = Seed::root(0).child("compare").index(i).stream();
            let mut times = vec![0; images];
            (0..images).for_each(|_| times[stream.below(images)] += 1);
            let [first, second] = [&ours, &theirs].map(|runs| numbers(&drawn(runs, &mut stream), &times));
            for (kept, (was, is)) in resampled.iter_mut().zip(first.into_iter().zip(second)) {
                kept[0].push(was);
                kept[1].push(is);
                kept[2].push(is - was);
            }
        }
        let lines = asked.iter().zip(resampled).zip(was.into_iter().zip(is)).map(|(((what, ask), kept), (was, is))| {
            let [first, second, between] = kept;
            Line {
                what: what.clone(),
                is_share: !matches!(ask, Ask::Volume(_)),
                before: Interval::of(was, first),
                after: Interval::of(is, second),
                difference: Interval::of(is - was, between),
            }
        });
        Ok(Comparison {
            schema_version: 1,
            before: before.name.clone(),
            after: after.name.clone(),
            runs: [before.runs.len(), after.runs.len()],
            images,
            changed,
            lines: lines.collect(),
        })
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let count = |n: usize| if n == 1 { "1 run".to_owned() } else { format!("{n} runs") };
        let [first, second] = self.runs.map(count);
        let mut text = format!("{} ({first}) -> {} ({second}), {} test images\n", self.before, self.after, self.images);
        match &self.changed[..] {
            [] => text += "configurations: the same\n",
            changed => {
                for change in changed {
                    let _ = writeln!(text, "changed: {change}");
                }
            }
        }
        let mut rows: Vec<Vec<Cell>> =
            vec![[word("")].into_iter().chain(["before", "after", "difference", ""].map(number)).collect::<Vec<_>>()];
        for line in &self.lines {
            let show = |at: f64| if line.is_share { format!("{:.1}", 100.0 * at) } else { format!("{at:.5}") };
            let signed = |at: f64| if at < 0.0 { show(at) } else { format!("+{}", show(at)) };
            let shown = |of: &Interval, show: &dyn Fn(f64) -> String| {
                number(&format!("{} [{}, {}]", show(of.number), show(of.low), show(of.high)))
            };
            let verdict = match line.difference.sign() {
                Some(true) => "better",
                Some(false) => "worse",
                None => "not shown",
            };
            rows.push(vec![
                word(&line.what),
                shown(&line.before, &show),
                shown(&line.after, &show),
                shown(&line.difference, &signed),
                word(verdict),
            ]);
        }
        text += &align(&rows);
        text += match self.runs {
            [1, _] | [_, 1] => "95 % intervals; a side of one run says nothing of the luck of its seed\n",
            _ => "95 % intervals over images and runs\n",
        };
        text
    }
}

impl Bits {
    fn is_best_searched(&self) -> bool {
        self.first && self.kind == OriginKind::Searched
    }
}

fn bits(run: &[Network]) -> Vec<Bits> {
    let of = |digits: &str| digits.bytes().map(|digit| digit == b'1').collect();
    let network = |n: &Network| Bits {
        budget: n.budget,
        kind: n.kind,
        macs: n.macs,
        first: n.first,
        clean: of(&n.flags.clean),
        robust: of(&n.flags.robust),
    };
    run.iter().map(network).collect()
}

/// Runs drawn with replacement; one alone is itself.
fn drawn<'a>(runs: &'a [Vec<Bits>], stream: &mut Stream) -> Vec<&'a Vec<Bits>> {
    (0..runs.len()).map(|_| &runs[stream.below(runs.len())]).collect()
}

/// The mean over the runs that have the number; 0 where none has.
fn mean(runs: &[&Vec<Bits>], of: impl Fn(&[Bits]) -> Option<f64>) -> f64 {
    let known: Vec<f64> = runs.iter().filter_map(|run| of(run)).collect();
    known.iter().sum::<f64>() / known.len().max(1) as f64
}

impl Ask {
    /// The number of a run, of images that count so many times.
    fn number(self, run: &[Bits], times: &[u32], reference: Reference) -> Option<f64> {
        let rate = |flags: &[bool]| {
            let right: u32 = flags.iter().zip(times).map(|(right, times)| if *right { *times } else { 0 }).sum();
            f64::from(right) / times.len() as f64
        };
        let best = |budget| run.iter().find(|n| n.is_best_searched() && n.budget == budget);
        match self {
            Ask::Volume(kind) => {
                let of = run.iter().filter(|n| kind.is_none_or(|kind| n.kind == kind));
                let point = |n: &Bits| Point { macs: n.macs, clean: rate(&n.clean), robust: rate(&n.robust) };
                Some(hypervolume(&of.map(point).collect::<Vec<_>>(), reference))
            }
            Ask::Robust(budget) => best(budget).map(|n| rate(&n.robust)),
            Ask::Clean(budget) => best(budget).map(|n| rate(&n.clean)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A searched network that is right on the first images, under attack on half of those.
    fn network(right: usize, n: usize) -> Network {
        let digits = |right: usize| (0..n).map(|i| if i < right { '1' } else { '0' }).collect::<String>();
        let flags = Flags {
            ids: (0..n as u32).collect(),
            clean: digits(right),
            robust: digits(right / 2),
            attacks: vec![digits(right / 2)],
        };
        Network { budget: Macs(1_000_000), kind: OriginKind::Searched, macs: Macs(1_000_000), first: true, flags }
    }

    fn side(name: &str, runs: &[usize], n: usize) -> Side {
        Side { name: name.to_owned(), runs: runs.iter().map(|right| vec![network(*right, n)]).collect() }
    }

    #[test]
    fn numbers_are_those_of_the_networks() {
        let compared = Comparison::of(&side("a", &[400], 1000), &side("b", &[600], 1000), vec![]).unwrap();
        let of = |line: &Line| [line.before.number, line.after.number, line.difference.number];
        let close = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        // A tenth of a budget of 1.1 is left: (1 - 1 / 1.1) x clean x robust.
        let left = 1.0 - 1.0 / 1.1;
        assert!(close(of(&compared.lines[0]), [left * 0.08, left * 0.18, left * 0.10]), "{compared:?}");
        assert!(close(of(&compared.lines[2]), [0.2, 0.3, 0.1]), "{compared:?}");
        assert!(close(of(&compared.lines[3]), [0.4, 0.6, 0.2]), "{compared:?}");
        assert!(compared.lines.iter().all(|line| line.difference.sign() == Some(true)));
        // The deviation of a share p of n images is sqrt(p (1 - p) / n).
        let (robust, sd) = (compared.lines[2].before, (0.2f64 * 0.8 / 1000.0).sqrt());
        assert!((robust.low - (0.2 - 1.96 * sd)).abs() < 0.003 && (robust.high - (0.2 + 1.96 * sd)).abs() < 0.003);
        // In pairs: of the difference only the images count on which the networks differ, here a share of 0.1.
        let (between, sd) = (compared.lines[2].difference, (0.1f64 * 0.9 / 1000.0).sqrt());
        assert!((between.low - (0.1 - 1.96 * sd)).abs() < 0.003, "{between:?}");
    }

    /// The same runs on both sides are not apart by anything; runs that spread leave more open than images do.
    #[test]
    fn the_spread_of_runs_is_in_the_interval() {
        let same = Comparison::of(&side("a", &[400], 1000), &side("b", &[400], 1000), vec![]).unwrap();
        assert!(same.lines.iter().all(|l| (l.difference.low, l.difference.high) == (0.0, 0.0)), "{same:?}");
        let spread = [200, 400, 600, 800];
        let several = Comparison::of(&side("a", &spread, 1000), &side("b", &[520, 540], 1000), vec![]).unwrap();
        let robust = &several.lines[2];
        assert!((robust.before.number - 0.25).abs() < 1e-12);
        assert!(robust.before.high - robust.before.low > 0.15, "{robust:?}");
        assert_eq!(robust.difference.sign(), None, "{robust:?}");
    }

    #[test]
    fn other_images_and_other_budgets_are_refused() {
        let error = |a: &Side, b: &Side| Comparison::of(a, b, vec![]).unwrap_err().to_string();
        assert!(error(&side("a", &[4], 10), &side("b", &[4], 12)).contains("networks of b were measured on other"));
        let mut other = side("b", &[4], 10);
        other.runs[0][0].budget = Macs(2_000_000);
        assert!(error(&side("a", &[4], 10), &other).contains("no budget in common"));
        assert!(error(&side("a", &[], 10), &other).contains("no budget in common"));
    }
}
