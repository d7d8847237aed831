//! The positions of a block's units: in lanes side by side, each unit below its inputs.
//!
//! The longest path through a block goes straight down; branches take the nearest free lane. A line leaves a unit
//! downwards, changes lanes half a gap below it or beside the unit it leads to, and never runs down through another
//! unit.

use std::collections::BTreeMap;

/// Between a unit and the one below.
pub(super) const GAP: f64 = 22.0;

/// The shape of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Inputs and outputs.
    Terminal,
    /// Operations one after another.
    Stack,
    /// A sum or a product, a circle.
    Circle,
    /// An operation with several inputs: as wide as their lanes.
    Bar,
}

/// A unit to place.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub form: Form,
    pub height: f64,
    /// Earlier items it reads.
    pub reads: Vec<usize>,
}

/// The position of an item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spot {
    pub lane: i32,
    /// The lanes it covers, first and last.
    pub span: (i32, i32),
    pub top: f64,
    pub height: f64,
}

impl Spot {
    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }

    pub fn middle(&self) -> f64 {
        self.top + self.height / 2.0
    }
}

/// A line from one item to another, through points `(lane, y)`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Route {
    pub from: usize,
    pub to: usize,
    pub points: Vec<(i32, f64)>,
}

/// A part of a lane that is taken, by an item or by the line between two items.
struct Taken {
    lane: i32,
    from: f64,
    to: f64,
    line: Option<(usize, usize)>,
}

/// The places of all items and the lines between them.
#[derive(Default)]
pub(super) struct Layout {
    pub spots: Vec<Spot>,
    pub routes: Vec<Route>,
    taken: Vec<Taken>,
}

impl Layout {
    /// Places items in the order they are given, which must be topological.
    pub fn of(items: &[Item]) -> Self {
        let mut layout = Layout::default();
        let tails = tails(items);
        for (i, item) in items.iter().enumerate() {
            let top = item.reads.iter().map(|r| layout.spots[*r].bottom() + GAP).fold(0.0, f64::max);
            let spot = layout.spot(items, &tails, i, top);
            for lane in spot.span.0..=spot.span.1 {
                layout.taken.push(Taken { lane, from: spot.top, to: spot.bottom(), line: None });
            }
            layout.spots.push(spot);
            for from in &item.reads {
                layout.lead(*from, i, item.form);
            }
        }
        layout
    }

    /// Whether a lane is free between two heights, but for lines from or to the ends of `line`, which may meet.
    fn free(&self, lane: i32, from: f64, to: f64, line: Option<(usize, usize)>) -> bool {
        !self.taken.iter().any(|t| {
            let own = t.line.zip(line).is_some_and(|(a, b)| a.0 == b.0 || a.1 == b.1);
            t.lane == lane && !own && t.from < to && from < t.to
        })
    }

    fn spot(&self, items: &[Item], tails: &[f64], i: usize, top: f64) -> Spot {
        let item = &items[i];
        let height = item.height;
        let fits = |lane: i32| self.free(lane, top - GAP / 2.0, top + height, None);
        let lane = match item.reads[..] {
            [] => nearest(0, &[1], fits),
            [only] => {
                let from = self.spots[only].lane;
                let branches: Vec<usize> = (0..items.len()).filter(|b| items[*b].reads == [only]).collect();
                let straight = branches.iter().copied().reduce(|a, b| if tails[b] > tails[a] { b } else { a });
                match straight {
                    Some(s) if i < s => nearest(from - 1, &[-1], fits),
                    Some(s) if i > s => nearest(from + 1, &[1], fits),
                    _ => nearest(from, &[1, -1], fits),
                }
            }
            _ => {
                // Where only one reader waits, the line goes straight; of these the one that ends last.
                let readers = |r: usize| items.iter().filter(|other| other.reads.contains(&r)).count();
                let key = |r: usize| (readers(r) == 1, self.spots[r].bottom());
                let straight = item.reads.iter().copied().reduce(|a, b| if key(b) > key(a) { b } else { a });
                nearest(straight.map_or(0, |s| self.spots[s].lane), &[1, -1], fits)
            }
        };
        let lanes = item.reads.iter().map(|r| self.spots[*r].lane);
        let span = match item.form {
            Form::Bar => (lanes.clone().min().unwrap_or(lane).min(lane), lanes.max().unwrap_or(lane).max(lane)),
            Form::Terminal | Form::Stack | Form::Circle => (lane, lane),
        };
        // A bar goes below everything in the lanes it covers.
        let blocked = |t: &&Taken| t.line.is_none() && (span.0..=span.1).contains(&t.lane) && t.to > top - GAP;
        let top = match item.form {
            Form::Bar => self.taken.iter().filter(blocked).map(|t| t.to + GAP).fold(top, f64::max),
            Form::Terminal | Form::Stack | Form::Circle => top,
        };
        Spot { lane, span, top, height }
    }

    /// Draws the line from one item to another and takes the lanes it runs down.
    fn lead(&mut self, from: usize, to: usize, form: Form) {
        let (a, b) = (self.spots[from], self.spots[to]);
        // A line enters from above or, into a circle from another lane, from the side.
        let end = if form == Form::Circle { b.middle() } else { b.top };
        let enters_above = |lane: i32| match form {
            Form::Circle => lane == b.lane,
            Form::Bar => (b.span.0..=b.span.1).contains(&lane),
            Form::Terminal | Form::Stack => false,
        };
        let (turn, line) = (a.bottom() + GAP / 2.0, Some((from, to)));
        let mut points = vec![(a.lane, a.bottom())];
        let runs = |layout: &Self, lane: i32, until: f64| layout.free(lane, a.bottom() + 0.5, until - 0.5, line);
        let merges = matches!(form, Form::Circle | Form::Bar);
        if a.lane == b.lane && runs(self, a.lane, b.top) || merges && enters_above(a.lane) && runs(self, a.lane, b.top)
        {
            points.push((a.lane, b.top));
        } else if form == Form::Circle && a.lane != b.lane && runs(self, a.lane, end) {
            points.extend([(a.lane, end), (b.lane, end)]);
        } else if !merges {
            points.extend([(a.lane, turn), (b.lane, turn), (b.lane, b.top)]);
        } else {
            let quiet = |lane: i32| self.quiet(turn, a.lane, lane) && self.quiet(end, lane, b.lane);
            let open = |lane: i32| lane != a.lane && lane != b.lane && self.free(lane, turn - 1.0, end + 1.0, line);
            let calm = (1..12).flat_map(|d| [a.lane + d, a.lane - d]).find(|lane| open(*lane) && quiet(*lane));
            let lane = calm.unwrap_or_else(|| nearest(a.lane, &[1, -1], open));
            points.extend([(a.lane, turn), (lane, turn)]);
            match form {
                Form::Bar if enters_above(lane) || self.widen(to, lane) => points.push((lane, b.top)),
                Form::Bar => points.extend([(lane, b.top - GAP / 2.0), (b.lane, b.top - GAP / 2.0), (b.lane, b.top)]),
                Form::Circle | Form::Terminal | Form::Stack => points.extend([(lane, end), (b.lane, end)]),
            }
        }
        for pair in points.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let (from_y, to_y) = (pair[0].1, pair[1].1);
            self.taken.push(Taken { lane: pair[0].0, from: from_y, to: to_y, line });
        }
        self.routes.push(Route { from, to, points });
    }

    /// Makes a bar wide enough to cover a lane, where the space is free.
    fn widen(&mut self, bar: usize, lane: i32) -> bool {
        let Spot { span, top, .. } = self.spots[bar];
        let bottom = self.spots[bar].bottom();
        let new: Vec<i32> = (span.0.min(lane)..=span.1.max(lane)).filter(|l| !(span.0..=span.1).contains(l)).collect();
        if !new.iter().all(|l| self.free(*l, top - 1.0, bottom + 1.0, None)) {
            return false;
        }
        self.taken.extend(new.into_iter().map(|lane| Taken { lane, from: top, to: bottom, line: None }));
        self.spots[bar].span = (span.0.min(lane), span.1.max(lane));
        true
    }

    /// Whether a level line between two lanes meets no item.
    fn quiet(&self, y: f64, from: i32, to: i32) -> bool {
        let between = from.min(to) + 1..from.max(to);
        !self.taken.iter().any(|t| t.line.is_none() && between.contains(&t.lane) && t.from < y && y < t.to)
    }

    /// All lanes, from left to right, with the width each needs.
    pub fn lanes(&self, widths: &[f64]) -> BTreeMap<i32, f64> {
        let mut lanes: BTreeMap<i32, f64> = BTreeMap::new();
        for route in &self.routes {
            for (lane, _) in &route.points {
                lanes.entry(*lane).or_insert(0.0);
            }
        }
        for (spot, width) in self.spots.iter().zip(widths) {
            let lane = lanes.entry(spot.lane).or_insert(0.0);
            *lane = lane.max(*width);
        }
        lanes
    }
}

/// The height from the top of each item to the end of the longest path from it.
fn tails(items: &[Item]) -> Vec<f64> {
    let mut tails: Vec<f64> = items.iter().map(|i| i.height).collect();
    for i in (0..items.len()).rev() {
        for from in &items[i].reads {
            tails[*from] = tails[*from].max(items[*from].height + GAP + tails[i]);
        }
    }
    tails
}

/// The lane nearest to `start`, stepping in the directions given in turn, that fits.
fn nearest(start: i32, steps: &[i32], fits: impl Fn(i32) -> bool) -> i32 {
    if fits(start) {
        return start;
    }
    (1..).flat_map(|d| steps.iter().map(move |s| start + s * d)).find(|lane| fits(*lane)).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(form: Form, reads: &[usize]) -> Item {
        Item { form, height: 20.0, reads: reads.into() }
    }

    /// A residual block: the branch goes straight, the shortcut takes a lane of its own.
    #[test]
    fn what_skips_past_takes_a_lane() {
        let items = [item(Form::Terminal, &[]), item(Form::Stack, &[0]), item(Form::Circle, &[1, 0])];
        let layout = Layout::of(&items);
        assert!(layout.spots.iter().all(|s| s.lane == 0), "{:?}", layout.spots);
        let skip = layout.routes.iter().find(|r| (r.from, r.to) == (0, 2)).unwrap();
        assert!(skip.points.iter().any(|(lane, _)| *lane == 1), "{skip:?}");
    }

    #[test]
    fn no_two_items_overlap() {
        let mut items = vec![item(Form::Terminal, &[])];
        for _ in 0..5 {
            items.push(item(Form::Stack, &[0]));
        }
        items.push(item(Form::Bar, &[1, 2, 3, 4, 5]));
        items.push(item(Form::Circle, &[6, 0]));
        let layout = Layout::of(&items);
        for (i, a) in layout.spots.iter().enumerate() {
            for b in &layout.spots[..i] {
                let apart = a.span.0 > b.span.1 || b.span.0 > a.span.1 || a.top >= b.bottom() || b.top >= a.bottom();
                assert!(apart, "{a:?} {b:?}");
            }
        }
        assert_eq!(layout.spots[6].span.1 - layout.spots[6].span.0, 4);
    }
}
