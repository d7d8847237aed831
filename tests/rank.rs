//! The ranking, dominance and the hypervolume.

mod fixtures;

use fixtures::{failed, record};
use proptest::prelude::*;
use robustnas::rank::{Point, Reference, Standing, by_budget, frontier, hypervolume, ineligible};
use robustnas::record::{Check, Origin, OriginKind, Outcome, Record};
use robustnas::units::{Macs, Tally};

fn searched(arch: &str, macs: u64, clean: u64, robust: u64) -> Record {
    record(arch, Origin::Searched { genotype: 0 }, 20_000_000, macs, clean, robust)
}

#[test]
fn ranks_by_robust_then_clean_then_macs_then_id() {
    let records = [
        searched("id-b", 19, 60, 30),
        searched("id-a", 19, 60, 30),
        searched("small", 18, 60, 30),
        searched("clean", 20, 61, 30),
        searched("robust", 20, 40, 31),
        failed("broken", 20_000_000),
    ];
    let ranking = by_budget(&records);
    let names: Vec<&str> = ranking[0].ranked.iter().map(|r| r.arch.as_str()).collect();
    assert_eq!(names, ["robust", "clean", "small", "id-a", "id-b"]);
    assert_eq!(ranking[0].unranked.len(), 1);
    assert!(ranking[0].unranked[0].1.contains("NaN"));
}

#[test]
fn doubted_and_empty_evaluations_are_kept_and_not_ranked() {
    let mut doubted = searched("doubted", 10, 90, 80);
    let mut empty = searched("empty", 10, 0, 0);
    if let Outcome::Ok { validation, .. } = &mut doubted.outcome {
        validation.checks.push(Check::ZeroGradient);
    }
    if let Outcome::Ok { validation, .. } = &mut empty.outcome {
        (validation.clean, validation.robust) = (Tally::default(), Tally::default());
    }
    assert!(ineligible(&doubted).unwrap().contains("zero_gradient"));
    assert!(ineligible(&empty).unwrap().contains("no samples"));
    let records = [doubted, empty];
    let ranking = by_budget(&records);
    assert!(ranking[0].ranked.is_empty());
    assert_eq!(ranking[0].unranked.len(), 2);
}

/// Of 100 images the interval of 30 % is 21.9 to 39.6, of 45 % 35.6 to 54.8, of 60 % 50.2 to 69.1.
#[test]
fn a_search_beats_a_control_where_the_intervals_are_apart() {
    let control = |arch: &str, origin, robust| record(arch, origin, 20_000_000, 20, 70, robust);
    let random = |robust| control("random", Origin::Random { genotype: 0 }, robust);
    let hand_made = |robust| control("hand", Origin::HandMade, robust);
    let standing = |records: &[Record]| {
        let rankings = by_budget(records);
        [OriginKind::Random, OriginKind::HandMade].map(|kind| rankings[0].standing(kind))
    };
    let best = [searched("a", 20, 70, 60), searched("b", 20, 70, 10)];
    let of = |robust: [u64; 2]| standing(&[&best[..], &[random(robust[0]), hand_made(robust[1])]].concat());
    assert_eq!(of([30, 45]), [Standing::Beats, Standing::Overlaps]);
    assert_eq!(of([60, 95]), [Standing::Overlaps, Standing::Beaten]);
    assert_eq!(standing(&best), [Standing::NoControl; 2]);
    let mut doubted = searched("a", 20, 70, 60);
    if let Outcome::Ok { validation, .. } = &mut doubted.outcome {
        validation.checks.push(Check::CleanAtChance);
    }
    assert_eq!(standing(&[doubted, random(30)]), [Standing::NoSearched; 2]);
}

#[test]
fn budgets_ascend_and_do_not_mix() {
    let mut large = searched("large", 40, 50, 40);
    large.budget = Macs(40_000_000);
    let records = [large, searched("small", 20, 50, 30)];
    let ranking = by_budget(&records);
    let budgets: Vec<u64> = ranking.iter().map(|r| r.budget.0).collect();
    assert_eq!(budgets, [20_000_000, 40_000_000]);
    assert_eq!(ranking[0].ranked[0].arch, "small");
}

fn reference() -> Reference {
    Reference { macs: 110.0, clean: 0.0, robust: 0.0 }
}

#[test]
fn the_reference_is_a_tenth_above_the_largest_budget() {
    let r = Reference::above(Macs(100));
    assert!((r.macs - 110.0).abs() < 1e-9 && r.clean == 0.0 && r.robust == 0.0);
}

#[test]
fn hypervolume_of_one_and_of_two_boxes_has_a_closed_form() {
    let a = Point { macs: Macs(22), clean: 0.5, robust: 0.25 };
    let b = Point { macs: Macs(55), clean: 0.75, robust: 0.125 };
    assert!((hypervolume(&[a], reference()) - 0.8 * 0.5 * 0.25).abs() < 1e-15);
    let both = 0.8 * 0.5 * 0.25 + 0.5 * 0.75 * 0.125 - 0.5 * 0.5 * 0.125;
    assert!((hypervolume(&[a, b], reference()) - both).abs() < 1e-15);
    let beyond = Point { macs: Macs(111), clean: 1.0, robust: 1.0 };
    assert_eq!(hypervolume(&[beyond], reference()), 0.0);
    assert_eq!(hypervolume(&[], reference()), 0.0);
}

fn points() -> impl Strategy<Value = Vec<Point>> {
    // Coarse grids, so that ties and duplicates happen.
    let point = (0u64..12, 0u32..8, 0u32..8).prop_map(|(m, c, r)| Point {
        macs: Macs(m * 10),
        clean: f64::from(c) / 8.0,
        robust: f64::from(r) / 8.0,
    });
    prop::collection::vec(point, 0..14)
}

/// The dominated volume by counting cells of the grid the points lie on.
fn by_counting(points: &[Point]) -> f64 {
    let mut cells = 0.0;
    for m in 0..11 {
        for c in 0..8 {
            for r in 0..8 {
                let covers =
                    |p: &&Point| p.macs.0 <= m * 10 && p.clean * 8.0 > f64::from(c) && p.robust * 8.0 > f64::from(r);
                cells += if points.iter().find(covers).is_some() { 1.0 } else { 0.0 };
            }
        }
    }
    cells / (11.0 * 64.0)
}

proptest! {
    #[test]
    fn the_frontier_is_mutually_non_dominated_and_dominates_the_rest(points in points()) {
        let on = frontier(&points);
        let best: Vec<Point> = points.iter().zip(&on).filter(|(_, on)| **on).map(|(p, _)| *p).collect();
        prop_assert!(points.is_empty() || !best.is_empty());
        for a in &best {
            prop_assert!(!best.iter().any(|b| b.dominates(a)));
        }
        for (p, on) in points.iter().zip(&on) {
            prop_assert!(*on || best.iter().any(|b| b.dominates(p)));
        }
    }

    #[test]
    fn hypervolume_equals_counting(points in points()) {
        prop_assert!((hypervolume(&points, reference()) - by_counting(&points)).abs() < 1e-12);
    }

    #[test]
    fn hypervolume_is_monotone_and_needs_the_frontier_only(points in points(), extra in points()) {
        let all: Vec<Point> = points.iter().chain(&extra).copied().collect();
        let (some, more) = (hypervolume(&points, reference()), hypervolume(&all, reference()));
        prop_assert!(more >= some - 1e-12);
        let on = frontier(&all);
        let best: Vec<Point> = all.iter().zip(on).filter(|(_, on)| *on).map(|(p, _)| *p).collect();
        prop_assert!((hypervolume(&best, reference()) - more).abs() < 1e-12);
    }

    #[test]
    fn order_does_not_matter(points in points().prop_shuffle(), turn in 0usize..14) {
        let mut turned = points.clone();
        turned.reverse();
        turned.rotate_left(turn.min(points.len()));
        prop_assert_eq!(hypervolume(&points, reference()).to_bits(), hypervolume(&turned, reference()).to_bits());
    }

    #[test]
    fn the_ranking_does_not_depend_on_the_order_of_records(
        numbers in prop::collection::vec((0u64..3, 0u64..3, 0u64..3), 1..10), turn in 0usize..10,
    ) {
        let records: Vec<Record> = numbers.iter().enumerate()
            .map(|(i, (m, c, r))| searched(&format!("{i}"), *m, *c + 3, *r)).collect();
        let mut turned = records.clone();
        turned.reverse();
        turned.rotate_left(turn.min(records.len()));
        prop_assert_eq!(by_budget(&records), by_budget(&turned));
    }
}
