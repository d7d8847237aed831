//! RobustScaling of three-stage residual networks: depths and widening factors for a budget.
//!
//! Source: Huang et al. 2023 (RobustResNet), section 4.2. The paper gives ratios, but not how they are rounded to whole
//! numbers for a budget; its notebook was never published. What is inferred here:
//!
//! - totals are divided over the stages by [`stage_depths`] and [`stage_widths`]; width totals whose first and last
//!   stage are then more than a fifth off the ratio `2 : 1` are left out (small totals round badly);
//! - of all pairs of totals the one with the smallest misfit is taken: the larger of `|cost / budget - 1|` and
//!   `|(width / (depth + width)) / 0.3 - 1|`. The cost is that of a network of basic blocks, on which the paper scales;
//!   depths and widths are the same for other blocks.
//!
//! The rule gives every network that the paper shows, for 5, 10, 15, 20, 30 and 40 G. It is fitted to them: the fifth
//! matters for 10 G alone (any share from 20 to 25 % does), and at 15 and 40 G the runner-up is close. Below 4 G few
//! totals are left, and what is found may be some way off the budget.

use serde::Serialize;

use super::{BASE, STAGES, depth_share, stage_depths, stage_widths};
use crate::arch::cost::cost;
use crate::arch::families::Model;
use crate::arch::families::published::published;
use crate::arch::families::robust_resnet::RobustResNet;
use crate::arch::families::wrn::Wrn;
use crate::arch::op::Shape;
use crate::error::{Error, Result};
use crate::units::{Macs, Params};

/// Width over depth and width.
const WIDTH_SHARE: f64 = 0.3;

/// The largest totals that are tried, of depth and of width; beyond any budget that is trained.
const LARGEST: (usize, usize) = (700, 300);

/// The families that can be scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// The published block.
    RobustResnet,
    /// Basic blocks.
    Wrn,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::RobustResnet, Family::Wrn];

    /// The network of the family of these depths and widening factors.
    pub fn model(self, depths: [usize; STAGES], widths: [usize; STAGES]) -> Model {
        match self {
            Family::RobustResnet => Model::RobustResNet(RobustResNet::new(depths, widths)),
            Family::Wrn => Model::Wrn(Wrn::new(depths, widths)),
        }
    }
}

/// A network for a budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scaled {
    /// What was asked for.
    pub budget: Macs,
    /// Blocks of each stage.
    pub depths: [usize; STAGES],
    /// Widening factors of each stage.
    pub widths: [usize; STAGES],
    /// Channels of each stage: the widening factors times 16, 32 and 64.
    pub channels: [usize; STAGES],
    /// Depth in depth + width.
    pub depth_share: f64,
    /// How far it is from the rule, see the module.
    pub misfit: f64,
    /// The name of the published network of these depths and widths.
    pub published: Option<&'static str>,
    /// Its form.
    pub model: String,
    /// Counted.
    pub params: Params,
    /// Counted.
    pub macs: Macs,
    /// The count over the budget.
    pub ratio: f64,
}

/// The networks nearest to the rule for a budget, the nearest first.
///
/// # Errors
/// [`Error::Impossible`] for a budget below the smallest network's cost or far beyond any network; whatever lowering
/// fails with.
pub fn scale(family: Family, budget: Macs, image: Shape, classes: usize, keep: usize) -> Result<Vec<Scaled>> {
    let pairs = counted(image, classes)?;
    let least = pairs.iter().map(|p| p.macs).min().unwrap_or_default();
    let most = pairs.iter().map(|p| p.macs).max().unwrap_or_default();
    if budget < least || budget > most {
        let reach = format!("at {image}, networks near the rule's proportions have {least} to {most}");
        return Err(Error::Impossible(format!("no network of {budget}: {reach}")));
    }
    let off = |p: &Pair| (p.macs.0 as f64 / budget.0 as f64 - 1.0).abs();
    let share = |p: &Pair| (p.width as f64 / (p.depth + p.width) as f64 / WIDTH_SHARE - 1.0).abs();
    let mut pairs: Vec<(f64, Pair)> = pairs.into_iter().map(|p| (off(&p).max(share(&p)), p)).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1.depth, a.1.width).cmp(&(b.1.depth, b.1.width))));
    pairs
        .into_iter()
        .take(keep)
        .map(|(misfit, pair)| {
            let (depths, widths) = (stage_depths(pair.depth), stage_widths(pair.width));
            let model = family.model(depths, widths);
            let found = cost(&model.lower(image, classes)?);
            Ok(Scaled {
                budget,
                depths,
                widths,
                channels: std::array::from_fn(|s| BASE[s] * widths[s]),
                depth_share: depth_share(depths, widths.map(|w| w as f64)),
                misfit,
                published: published(depths, widths),
                model: model.to_string(),
                params: found.params,
                macs: found.macs,
                ratio: found.macs.0 as f64 / budget.0 as f64,
            })
        })
        .collect()
}

/// Totals and what a network of basic blocks costs at them.
struct Pair {
    depth: usize,
    width: usize,
    macs: Macs,
}

/// Whether every stage has a width, and the first is twice the last to within a fifth.
fn proportioned([first, middle, last]: [usize; STAGES]) -> bool {
    first > 0 && middle > 0 && last > 0 && 5 * first.abs_diff(2 * last) <= 2 * last
}

/// Every pair of totals with something in every stage and a depth share from one half to five sixths, counted.
///
/// Every further block of a stage costs what the one before it does, so four networks a width are counted: one of a
/// block a stage, and one more for each stage.
fn counted(image: Shape, classes: usize) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for width in (1..=LARGEST.1).filter(|width| proportioned(stage_widths(*width))) {
        let widths = stage_widths(width);
        let macs = |depths| Ok::<_, Error>(cost(&Family::Wrn.model(depths, widths).lower(image, classes)?).macs.0);
        let one = macs([1; STAGES])?;
        let mut block = [0; STAGES];
        for (s, block) in block.iter_mut().enumerate() {
            let mut depths = [1; STAGES];
            depths[s] = 2;
            *block = macs(depths)? - one;
        }
        for depth in (width..=(5 * width).min(LARGEST.0)).filter(|depth| !stage_depths(*depth).contains(&0)) {
            let more = stage_depths(depth).into_iter().zip(block).map(|(d, block)| (d as u64 - 1) * block);
            pairs.push(Pair { depth, width, macs: Macs(one + more.sum::<u64>()) });
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Shape = Shape::new(32, 32, 3);

    fn found(giga: u64, keep: usize) -> Vec<Scaled> {
        scale(Family::RobustResnet, Macs(giga * 1_000_000_000), IMAGE, 10, keep).unwrap()
    }

    /// Huang et al. 2023: A1 to A4 and the networks plotted for 15 and 30 G, from their budgets alone.
    #[test]
    fn published_networks_follow_from_their_budgets() {
        for (giga, name, depths, widths) in [
            (5, Some("a1"), [14, 14, 7], [5, 7, 3]),
            (10, Some("a2"), [17, 17, 8], [7, 9, 4]),
            (15, None, [20, 20, 10], [7, 10, 4]),
            (20, Some("a3"), [22, 22, 11], [8, 11, 5]),
            (30, None, [25, 25, 12], [9, 13, 5]),
            (40, Some("a4"), [27, 28, 13], [10, 14, 6]),
        ] {
            let best = &found(giga, 1)[0];
            assert_eq!((best.depths, best.widths, best.published), (depths, widths, name), "{giga} G");
            assert_eq!(scale(Family::Wrn, best.budget, IMAGE, 10, 1).unwrap()[0].depths, depths, "{giga} G");
            assert!((best.ratio - 1.0).abs() < 0.08, "{giga} G: {}", best.ratio);
        }
    }

    /// Larger budgets never give cheaper networks, and from 13 G on all are met.
    #[test]
    fn costs_follow_budgets() {
        let mut before = 0.0;
        for giga in 4..=80 {
            let best = &scale(Family::Wrn, Macs(giga * 1_000_000_000), IMAGE, 10, 1).unwrap()[0];
            assert!(best.macs.0 as f64 >= before, "{giga} G");
            assert!(giga < 13 || (best.ratio - 1.0).abs() < 0.04, "{giga} G: {}", best.ratio);
            before = best.macs.0 as f64;
        }
    }

    /// Costs extrapolated from four networks a width are those of counting the whole network.
    #[test]
    fn counts_are_those_of_whole_networks() {
        for pair in counted(IMAGE, 10).unwrap().iter().step_by(997).take(20).filter(|p| p.depth < 80) {
            let net = Family::Wrn.model(stage_depths(pair.depth), stage_widths(pair.width)).lower(IMAGE, 10).unwrap();
            assert_eq!(cost(&net).macs, pair.macs, "{} {}", pair.depth, pair.width);
        }
    }

    #[test]
    fn impossible_budgets_say_what_is_in_reach() {
        let text = scale(Family::Wrn, Macs(1000), IMAGE, 10, 1).unwrap_err().to_string();
        assert!(text.contains("no network of 1.0k: at 32x32x3"), "{text}");
    }
}
