//! RobustScaling: depth and width of a network of a given size for best robustness.
//!
//! Source: Huang et al. 2023 (RobustResNet), sections 4.2: over three stages depths are in the ratio `2 : 2 : 1`,
//! widening factors `2 : 2.5 : 1`, and depth is seven tenths of depth + width, both summed over the stages. Depth
//! counts residual blocks; a widening factor multiplies 16, 32 and 64 channels. The paper gives no rounding rule; the
//! one here is the simplest that reproduces all its networks, for 5, 10, 15, 20, 30 and 40 G, from their totals.
//!
//! The rule is about residual networks. For cell networks we define:
//!
//! - depth of a stage: its ordinary cells times their intermediate nodes, because a node adds its operations to a
//!   shortcut, as a residual block does;
//! - width of a stage: the output channels of a cell (nodes taken into the output times channels of a node) divided by
//!   16, 32, 64;
//! - reduction cells join two stages and belong to neither.
//!
//! Under this definition the published ARNAS networks lie close to the rule, though they were sized otherwise: 0.706
//! (16 channels, 8 cells), 0.762 (36, 20) and 0.643 (64, 20).

pub mod count;
pub mod residual;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::cost::cost;
use super::families::preact::PreAct;
pub use super::families::published::{BASE, STAGES};
use super::net::Net;
use super::op::Shape;
use crate::arch::keys::dashed;
use crate::error::{Error, Result};
use crate::units::{Macs, is_zero};

/// Near misses that are listed; all are counted.
const LISTED: usize = 16;

/// Upper limit on the channels of a first stage, far beyond any budget, so that the search for a width ends.
const WIDEST: usize = 1 << 16;

/// RobustScaling of cell networks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Scalings kept per genotype and budget (nearest to the budget first).
    pub per_budget: usize,
    /// Smallest and largest depth / (depth + width); the published optimum is 0.7.
    pub depth_share: [f64; 2],
    /// Largest relative distance of the counted MACs from the budget.
    pub tolerance: f64,
    /// Largest number of ordinary cells.
    pub max_cells: usize,
    /// Channels are multiples of this; even, because a factorised reduction splits them in two.
    pub channel_multiple: usize,
    /// How many multiples each stage's channels may be off the width rule (optional; 0), so that a network is nearer to its
    /// budget than the rule's own steps allow. Ours.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slack: usize,
}

/// Depths of the stages: `total` divided as `2 : 2 : 1`.
pub fn stage_depths(total: usize) -> [usize; STAGES] {
    let first = (4 * total + 5) / 10;
    let second = (4 * total).div_ceil(10).min(total - first);
    [first, second, total - first - second]
}

/// Widening factors of the stages: `total` divided as `2 : 2.5 : 1`, the first rounded down and the last up.
pub fn stage_widths(total: usize) -> [usize; STAGES] {
    let first = 4 * total / 11;
    let last = (2 * total).div_ceil(11).min(total - first);
    [first, total - first - last, last]
}

/// Depth as a share of depth and width, both summed over the stages.
pub fn depth_share(depths: [usize; STAGES], widths: [f64; STAGES]) -> f64 {
    let (depth, width) = (depths.iter().sum::<usize>() as f64, widths.iter().sum::<f64>());
    depth / (depth + width)
}

/// What scaling needs to know of each stage's ordinary cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageCells {
    /// Intermediate nodes of each stage's cell.
    pub nodes: [usize; STAGES],
    /// Nodes whose channels are the cell's output.
    pub concat: [usize; STAGES],
}

impl StageCells {
    /// The depth share of a cell network under the module's definition.
    pub fn depth_share(&self, cells: [usize; STAGES], channels: [usize; STAGES]) -> f64 {
        depth_share(
            std::array::from_fn(|i| cells[i] * self.nodes[i]),
            std::array::from_fn(|i| (self.concat[i] * channels[i]) as f64 / BASE[i] as f64),
        )
    }

    /// Channels per stage for `base` channels in the first: output channels are in the ratio `2*16 : 2.5*32 : 1*64`,
    /// that is `2 : 5 : 4`, and each stage is rounded to a multiple (half up, at least one).
    fn channels(&self, base: usize, multiple: usize) -> [usize; STAGES] {
        let output = base * self.concat[0];
        std::array::from_fn(|i| {
            let unit = 2 * self.concat[i] * multiple;
            let steps = ([2, 5, 4][i] * output + unit / 2) / unit;
            steps.max(1) * multiple
        })
    }
}

/// A network that meets the rule and the budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaled {
    /// Ordinary cells per stage.
    pub cells: [usize; STAGES],
    /// Channels per stage.
    pub channels: [usize; STAGES],
    /// Depth in depth + width.
    pub depth_share: f64,
    /// Counted.
    pub macs: Macs,
}

impl Scaled {
    /// In words: cells and channels per stage.
    pub fn summary(&self) -> String {
        format!("cells {} channels {}", dashed(&self.cells), dashed(&self.channels))
    }
}

/// Why a network was left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Too few cells: the third stage would have none.
    EmptyStage,
    /// Its size fits, its proportions do not.
    DepthShare(f64),
    /// Its size does not fit: signed relative distance from the budget.
    Size(f64),
    /// Both fit; enough others are nearer to the budget.
    Crowded,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::EmptyStage => write!(f, "a stage has no cell"),
            Reason::DepthShare(share) => write!(f, "depth share {share:.3} is outside the band"),
            Reason::Size(distance) => write!(f, "{:+.1}% from the budget", 100.0 * distance),
            Reason::Crowded => write!(f, "others are nearer to the budget"),
        }
    }
}

/// A network that was considered and left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// Ordinary cells per stage.
    pub cells: [usize; STAGES],
    /// Channels per stage; zero where no network was made.
    pub channels: [usize; STAGES],
    /// Counted; absent where no network was made.
    pub macs: Option<Macs>,
    /// Why.
    pub reason: Reason,
}

/// The scalings of one genotype to one budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalingChoice {
    /// Inside the band and the tolerance, nearest to the budget first.
    pub kept: Vec<Scaled>,
    /// The nearest misses.
    pub rejected: Vec<Rejected>,
    /// How many were left out in all: every depth at every width step up to the first above the tolerance.
    pub rejected_total: usize,
}

/// Counts the derived network of the given ordinary cells and channels per stage. It must not shrink when a stage
/// grows.
pub type CountMacs<'a> = &'a dyn Fn(&[usize], &[usize]) -> Result<Macs>;

impl Scaling {
    /// Scales a genotype to a budget.
    ///
    /// Cells are split over the stages by [`stage_depths`], for every total up to `max_cells`; channels are
    /// `1 : 2.5 : 2` (the width rule on 16, 32, 64 channels, for cells with equal outputs), at every width that is distinct
    /// after rounding to `channel_multiple`, and with `slack` at all widths that near to one of these in every stage. Because
    /// a wider network never has fewer MACs, only widths near the budget are counted, and nothing in range is missed.
    ///
    /// # Errors
    /// [`Error::Impossible`] with the sizes in reach when no network is inside both the band and the tolerance;
    /// whatever `count` fails with.
    pub fn candidates(&self, budget: Macs, stages: StageCells, count: CountMacs<'_>) -> Result<ScalingChoice> {
        let distance = |macs: Macs| (macs.0 as f64 - budget.0 as f64) / budget.0 as f64;
        let (mut fits, mut rejected, mut seen) = (Vec::new(), Vec::new(), 0);
        for total in STAGES..=self.max_cells {
            let cells = stage_depths(total);
            if cells.contains(&0) {
                seen += 1;
                rejected.push(Rejected { cells, channels: [0; STAGES], macs: None, reason: Reason::EmptyStage });
                continue;
            }
            let column = Column { cells, stages, multiple: self.channel_multiple, count };
            let off = |channels: &[usize; STAGES]| Ok::<_, Error>(distance(count(&cells, channels)?));
            let near = first(|base| Ok(off(&column.widest(base, self.slack))? >= -self.tolerance))?;
            // From the last width below the tolerance to the first above it, with what lies around each.
            let (mut end, mut known) = (near.saturating_sub(1).max(1), BTreeSet::new());
            for (base, rule) in column.distinct(end) {
                end = base;
                for channels in column.around(rule, self.slack) {
                    if !known.insert(channels) {
                        continue;
                    }
                    let (macs, depth_share) = (count(&cells, &channels)?, stages.depth_share(cells, channels));
                    let mut reject = |reason| rejected.push(Rejected { cells, channels, macs: Some(macs), reason });
                    let off = distance(macs);
                    if off.abs() > self.tolerance {
                        reject(Reason::Size(off));
                    } else if !(self.depth_share[0]..=self.depth_share[1]).contains(&depth_share) {
                        reject(Reason::DepthShare(depth_share));
                    } else {
                        fits.push(Scaled { cells, channels, depth_share, macs });
                    }
                }
                if off(&column.narrowest(rule, self.slack))? > self.tolerance {
                    break;
                }
            }
            let narrower = column.distinct(1).take_while(|(base, _)| *base <= end);
            let all: BTreeSet<_> = narrower.flat_map(|(_, rule)| column.around(rule, self.slack)).collect();
            seen += all.len();
        }
        fits.sort_by_key(|s| (s.macs.0.abs_diff(budget.0), s.cells, s.channels));
        let crowded = fits.split_off(self.per_budget.min(fits.len()));
        if fits.is_empty() {
            return Err(self.impossible(budget, stages, count)?);
        }
        rejected.extend(crowded.into_iter().map(|s| Rejected {
            cells: s.cells,
            channels: s.channels,
            macs: Some(s.macs),
            reason: Reason::Crowded,
        }));
        rejected.sort_by_key(|r| (r.macs.map(|m| m.0.abs_diff(budget.0)).unwrap_or(u64::MAX), r.cells, r.channels));
        rejected.truncate(LISTED);
        let rejected_total = seen - fits.len();
        Ok(ScalingChoice { kept: fits, rejected, rejected_total })
    }

    /// The error text: the smallest, the largest and the nearest network inside the band.
    fn impossible(&self, budget: Macs, stages: StageCells, count: CountMacs<'_>) -> Result<Error> {
        let [low, high] = self.depth_share;
        let mut sizes: Vec<(Macs, [usize; STAGES], [usize; STAGES])> = Vec::new();
        for total in STAGES..=self.max_cells {
            let cells = stage_depths(total);
            let column = Column { cells, stages, multiple: self.channel_multiple, count };
            // The share falls as the network widens, so the band is a run of widths.
            let share = |base| stages.depth_share(cells, column.channels(base));
            let (start, end) = (first(|base| Ok(share(base) <= high))?, first(|base| Ok(share(base) < low))?);
            if cells.contains(&0) || start >= end {
                continue;
            }
            let near = first(|base| Ok(column.macs(base)? >= budget))?.clamp(start, end - 1);
            for base in [start, near.saturating_sub(1).max(start), near, end - 1] {
                sizes.push((column.macs(base)?, cells, column.channels(base)));
            }
        }
        let request = format!("no network of {budget} within {:.1}%", 100.0 * self.tolerance);
        let band = format!("depth share {low} to {high}, at most {} cells", self.max_cells);
        let (Some(smallest), Some(largest)) = (sizes.iter().min(), sizes.iter().max()) else {
            return Ok(Error::Impossible(format!(
                "{request}: with channels in multiples of {} no network has {band}; widen `scaling.depth_share`, raise \
                 `scaling.max_cells` or lower `scaling.channel_multiple`",
                self.channel_multiple
            )));
        };
        let advice = if budget < smallest.0 {
            "raise the budget, raise the upper `scaling.depth_share` or lower `scaling.channel_multiple`"
        } else if budget > largest.0 {
            "lower the budget, raise `scaling.max_cells` or lower the lower `scaling.depth_share`"
        } else {
            "raise `scaling.tolerance`, lower `scaling.channel_multiple` or ask for the nearest size"
        };
        let nearest = sizes.iter().min_by_key(|s| (s.0.0.abs_diff(budget.0), s.1)).unwrap_or(smallest);
        Ok(Error::Impossible(format!(
            "{request}: with {band}, this genotype reaches {} to {}, nearest {} ({:?} cells of {:?} \
             channels); {advice}",
            smallest.0, largest.0, nearest.0, nearest.1, nearest.2
        )))
    }
}

/// The networks of one depth, from the narrowest; `base` is the first stage's channels before rounding.
struct Column<'a> {
    cells: [usize; STAGES],
    stages: StageCells,
    multiple: usize,
    count: CountMacs<'a>,
}

impl Column<'_> {
    fn channels(&self, base: usize) -> [usize; STAGES] {
        self.stages.channels(base, self.multiple)
    }

    fn macs(&self, base: usize) -> Result<Macs> {
        (self.count)(&self.cells, &self.channels(base))
    }

    /// The widths of a base and as many steps more in every stage.
    fn widest(&self, base: usize, slack: usize) -> [usize; STAGES] {
        self.channels(base).map(|c| c + slack * self.multiple)
    }

    /// Some widths and as many steps fewer in every stage, of which each keeps one.
    fn narrowest(&self, rule: [usize; STAGES], slack: usize) -> [usize; STAGES] {
        rule.map(|c| c.saturating_sub(slack * self.multiple).max(self.multiple))
    }

    /// All widths that are at most so many steps from some in every stage.
    fn around(&self, rule: [usize; STAGES], slack: usize) -> Vec<[usize; STAGES]> {
        let low = self.narrowest(rule, slack);
        let of = |s: usize| (low[s]..=rule[s] + slack * self.multiple).step_by(self.multiple);
        of(0).flat_map(|a| of(1).flat_map(move |b| of(2).map(move |c| [a, b, c]))).collect()
    }

    /// The widths that are distinct after rounding, from a base upwards.
    fn distinct(&self, from: usize) -> impl Iterator<Item = (usize, [usize; STAGES])> {
        let mut last = [0; STAGES];
        (from..=WIDEST).map(|base| (base, self.channels(base))).filter(move |(_, channels)| {
            let new = *channels != last;
            last = *channels;
            new
        })
    }
}

/// The smallest number from 1 at which a monotone condition holds; [`WIDEST`] if it never does.
fn first(mut holds: impl FnMut(usize) -> Result<bool>) -> Result<usize> {
    let mut high = 1;
    while high < WIDEST && !holds(high)? {
        high *= 2;
    }
    let mut low = high / 2; // does not hold, or is 0
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle)? { high = middle } else { low = middle }
    }
    Ok(high)
}

/// The hand-made network beside the searched ones: a pre-activation residual network of three equal stages of basic
/// blocks, channels `1 : 2 : 4` as in Wide ResNet, whose MACs are nearest to a budget.
///
/// One to four blocks a stage, channels in multiples of four, a stem of 16 channels. At small budgets that grid is
/// coarse: where it misses by more than a twentieth, narrower (even) stems are tried as well. Of equally near networks
/// the one with the wider stem, then the shallower one.
///
/// # Errors
/// [`Error::Impossible`] when even the smallest is more than twice the budget.
pub fn residual_control(budget: Macs, image: Shape, classes: usize) -> Result<(PreAct, Net)> {
    let network = |blocks: usize, channels: usize, stem: usize| {
        let resnet = PreAct::basic(stem, (0..STAGES).map(|s| (blocks, channels << s)).collect::<Vec<_>>());
        let net = resnet.lower(image, classes)?;
        Ok::<_, Error>((cost(&net).macs, resnet, net))
    };
    let miss = |macs: Macs| macs.0.abs_diff(budget.0);
    let mut best: Option<(Macs, PreAct, Net)> = None;
    for stem in [16, 14, 12, 10, 8, 6, 4, 2] {
        if best.as_ref().is_some_and(|b| 20 * miss(b.0) <= budget.0) {
            break;
        }
        for blocks in 1..=4 {
            let above = first(|quarter| Ok(network(blocks, 4 * quarter, stem)?.0 >= budget))?;
            for quarter in [above.saturating_sub(1).max(1), above] {
                let found = network(blocks, 4 * quarter, stem)?;
                if best.as_ref().is_none_or(|b| miss(found.0) < miss(b.0)) {
                    best = Some(found);
                }
            }
        }
    }
    match best {
        Some((macs, resnet, net)) if macs.0 <= 2 * budget.0 => Ok((resnet, net)),
        _ => {
            let smallest = network(1, 4, 2)?.0;
            Err(Error::Impossible(format!(
                "no residual network of {budget}: the smallest has {smallest}; raise the budget or set \
                 `derive.hand_made = false`"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ARNAS: StageCells = StageCells { nodes: [4; 3], concat: [4; 3] };
    const SCALING: Scaling = Scaling {
        per_budget: 3,
        depth_share: [0.6, 0.8],
        tolerance: 0.03,
        max_cells: 24,
        channel_multiple: 4,
        slack: 0,
    };

    /// A network whose cost is its area-weighted sum of squares, like a stack of 1x1 convolutions.
    fn toy(cells: &[usize], channels: &[usize]) -> Result<Macs> {
        let stages = cells.iter().zip(channels).enumerate();
        Ok(Macs(stages.map(|(s, (n, c))| (n * 40 * c * c * (1024 >> (2 * s))) as u64).sum()))
    }

    /// Huang et al. 2023: RobustResNet-A1 to A4 and the networks plotted for 15 and 30 G, from their totals.
    #[test]
    fn published_networks() {
        for (depth, width, depths, widths) in [
            (35, 15, [14, 14, 7], [5, 7, 3]),
            (42, 20, [17, 17, 8], [7, 9, 4]),
            (50, 21, [20, 20, 10], [7, 10, 4]),
            (55, 24, [22, 22, 11], [8, 11, 5]),
            (62, 27, [25, 25, 12], [9, 13, 5]),
            (68, 30, [27, 28, 13], [10, 14, 6]),
        ] {
            assert_eq!((stage_depths(depth), stage_widths(width)), (depths, widths));
        }
    }

    #[test]
    fn published_shares() {
        for (depths, widths, share) in [
            ([14, 14, 7], [5., 7., 3.], 0.700),
            ([17, 17, 8], [7., 9., 4.], 0.677),
            ([27, 28, 13], [10., 14., 6.], 0.694),
        ] {
            assert!((depth_share(depths, widths) - share).abs() < 5e-4);
        }
        for (cells, c, share) in [([2, 2, 2], 16, 0.706), ([6, 6, 6], 36, 0.762), ([6, 6, 6], 64, 0.643)] {
            assert!((ARNAS.depth_share(cells, [c, 2 * c, 2 * c]) - share).abs() < 5e-4, "{c}");
        }
    }

    #[test]
    fn channels_stand_as_the_width_rule() {
        assert_eq!(ARNAS.channels(16, 2), [16, 40, 32]);
        assert_eq!(ARNAS.channels(1, 4), [4, 4, 4]);
        // A cell with half as many output nodes needs twice the channels.
        assert_eq!(StageCells { nodes: [4; 3], concat: [4, 4, 2] }.channels(16, 2), [16, 40, 64]);
    }

    #[test]
    fn impossible_budgets_say_what_is_in_reach() {
        let fail = |budget, scaling: Scaling| scaling.candidates(Macs(budget), ARNAS, &toy).unwrap_err().to_string();
        let text = fail(1_000, SCALING);
        assert!(text.contains("no network of 1.0k within 3.0%") && text.contains("raise the budget"), "{text}");
        let text = fail(u64::MAX / 1024, SCALING);
        assert!(text.contains("raise `scaling.max_cells`"), "{text}");
        let text = fail(50_000_000, Scaling { tolerance: 1e-9, ..SCALING });
        assert!(text.contains("raise `scaling.tolerance`") && text.contains("nearest"), "{text}");
        let text = fail(50_000_000, Scaling { depth_share: [0.7, 0.7001], channel_multiple: 256, ..SCALING });
        assert!(text.contains("widen `scaling.depth_share`"), "{text}");
    }

    #[test]
    fn a_failing_count_is_the_answer() {
        let broken = |_: &[usize], _: &[usize]| Err(Error::Net("no".into()));
        assert!(matches!(SCALING.candidates(Macs(50_000_000), ARNAS, &broken), Err(Error::Net(_))));
    }

    proptest! {
        #[test]
        fn choices_are_exact(
            budget in 2_000_000u64..400_000_000,
            low in 0.3f64..0.8,
            band in 0.0f64..0.3,
            tolerance in 0.002f64..0.2,
            max_cells in 5usize..16,
            half in 1usize..5,
            per_budget in 1usize..6,
            slack in 0usize..2,
        ) {
            let depth_share = [low, (low + band).min(0.99)];
            let s = Scaling { per_budget, depth_share, tolerance, max_cells, channel_multiple: 2 * half, slack };
            let budget = Macs(budget);
            // Every width there is, without the shortcut.
            let mut all = Vec::new();
            for cells in (3..=max_cells).map(stage_depths).filter(|c| !c.contains(&0)) {
                let multiple = s.channel_multiple;
                let steps = |c: usize| {
                    let range = c.saturating_sub(slack * multiple).max(multiple)..=c + slack * multiple;
                    range.step_by(multiple).collect::<Vec<_>>()
                };
                let mut widths = BTreeSet::new();
                for [a, b, c] in (1..400).map(|base| ARNAS.channels(base, multiple)) {
                    for (x, y) in steps(a).into_iter().flat_map(|x| steps(b).into_iter().map(move |y| (x, y))) {
                        widths.extend(steps(c).into_iter().map(|z| [x, y, z]));
                    }
                }
                for channels in widths {
                    let macs = toy(&cells, &channels).unwrap();
                    let share = ARNAS.depth_share(cells, channels);
                    let near = macs.0.abs_diff(budget.0) as f64 <= tolerance * budget.0 as f64;
                    if near && share >= depth_share[0] && share <= depth_share[1] {
                        all.push((macs.0.abs_diff(budget.0), cells, channels));
                    }
                }
            }
            all.sort();
            let fits = all.len();
            all.truncate(per_budget);
            match s.candidates(budget, ARNAS, &toy) {
                Ok(choice) => {
                    let kept: Vec<_> =
                        choice.kept.iter().map(|k| (k.macs.0.abs_diff(budget.0), k.cells, k.channels)).collect();
                    prop_assert_eq!(kept, all);
                    prop_assert!(choice.rejected.len() <= choice.rejected_total);
                    prop_assert!(choice.rejected_total >= fits - choice.kept.len());
                    prop_assert_eq!(&choice, &s.candidates(budget, ARNAS, &toy).unwrap());
                }
                Err(Error::Impossible(_)) => prop_assert!(all.is_empty()),
                Err(e) => prop_assert!(false, "{}", e),
            }
        }

        #[test]
        fn divisions_are_complete_and_monotone(total in 0usize..500) {
            prop_assert_eq!(stage_depths(total).iter().sum::<usize>(), total);
            prop_assert_eq!(stage_widths(total).iter().sum::<usize>(), total);
            let (now, next) = (stage_depths(total), stage_depths(total + 1));
            prop_assert!((0..STAGES).all(|i| now[i] <= next[i]));
        }
    }

    #[test]
    fn controls_meet_their_budgets() {
        for (millions, tolerance) in [(1, 0.05), (2, 0.05), (4, 0.05), (16, 0.05), (80, 0.05), (400, 0.05)] {
            let budget = Macs(millions * 1_000_000);
            let (resnet, net) = residual_control(budget, Shape::new(32, 32, 3), 10).unwrap();
            let off = cost(&net).macs.0 as f64 / budget.0 as f64 - 1.0;
            assert!(off.abs() <= tolerance, "{budget}: {off:+.3} {resnet:?}");
            assert!(resnet.stages.windows(2).all(|s| s[1].0 == s[0].0 && s[1].1 == 2 * s[0].1));
        }
        let text = residual_control(Macs(1000), Shape::new(32, 32, 3), 10).unwrap_err().to_string();
        assert!(text.contains("the smallest has"), "{text}");
    }
}
