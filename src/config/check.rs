//! Checks beyond the types: ranges, names that must exist, graphs that must be connected.

use std::collections::HashSet;
use std::fmt::Display;

use super::doc::{Doc, hint};
use super::{CellChoices, Collapse, Config, Evaluate};
use crate::arch::cell::CellOp;
use crate::arch::keys::MOST as LARGEST;
use crate::arch::scaling::{STAGES, stage_depths};
use crate::error::Result;
use crate::recipe::{Adam, Adversary, Sgd};
use crate::threat::{Attack, MOST};

/// The most images, epochs or networks that a key may ask for: far beyond any run, and products of them still fit.
const MOST_COUNTED: usize = 1 << 24;

/// Checks a configuration for consistency; the document has the lines for errors.
pub(super) fn check(config: &Config, doc: &Doc<'_>) -> Result<()> {
    let check = Check { doc };
    check.top(config)?;
    check.placement(config)?;
    for (i, cell) in config.cells.iter().enumerate() {
        let reduces = cell.kind == config.placement.reduction;
        check.cell(&format!("cells.{i}"), cell, reduces)?;
    }
    check.supernet(config)?;
    check.data_and_search(config)?;
    check.candidates(config)?;
    check.evaluate(&config.evaluate)?;
    config.study.as_ref().map_or(Ok(()), |study| study.check(config, doc))
}

pub(super) struct Check<'d> {
    pub doc: &'d Doc<'d>,
}

impl Check<'_> {
    pub fn require(&self, holds: bool, key: &str, message: impl FnOnce() -> String) -> Result<()> {
        if holds { Ok(()) } else { Err(self.doc.fail(key, message())) }
    }

    /// Refuses a value outside of the range that `range` describes.
    pub fn range<T: Display>(&self, key: &str, value: T, holds: bool, range: &str) -> Result<()> {
        self.require(holds, key, || format!("`{key}` must be {range}, got {value}"))
    }

    /// Counts of images, epochs and networks.
    fn at_least_one(&self, counts: &[(&str, usize)]) -> Result<()> {
        self.up_to(counts, MOST_COUNTED)
    }

    /// Sizes of networks.
    fn sizes(&self, sizes: &[(&str, usize)]) -> Result<()> {
        self.up_to(sizes, LARGEST)
    }

    fn up_to(&self, counts: &[(&str, usize)], most: usize) -> Result<()> {
        counts.iter().try_for_each(|(key, n)| {
            self.range(key, n, *n >= 1, "at least 1")?;
            self.range(key, n, *n <= most, &format!("at most {most}"))
        })
    }

    fn positive(&self, key: &str, value: f64) -> Result<()> {
        self.range(key, value, value > 0.0 && value.is_finite(), "above 0")
    }

    pub fn not_negative(&self, key: &str, value: f64) -> Result<()> {
        self.range(key, value, value >= 0.0 && value.is_finite(), "at least 0")
    }

    fn share(&self, key: &str, value: f64) -> Result<()> {
        self.range(key, value, value > 0.0 && value < 1.0, "strictly between 0 and 1")
    }

    fn top(&self, c: &Config) -> Result<()> {
        let plain = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_' | '.');
        let named = !c.name.is_empty() && c.name.chars().all(plain) && !c.name.starts_with('.');
        self.require(named, "name", || {
            format!("`name` becomes part of folder names: use letters, digits, `-`, `_` and `.`, got `{}`", c.name)
        })?;
        self.require(!c.data.is_empty(), "data", || "`data` is empty; write a source such as \"synthetic\"".into())?;
        self.require(!c.budgets.is_empty(), "budgets", || {
            "`budgets` is empty; give at least one, for example [\"20M\", \"40M\"]".into()
        })?;
        self.require(c.budgets[0].0 > 0, "budgets", || {
            "`budgets` contains 0 multiply-accumulates; write for example \"20M\"".into()
        })?;
        let twice = c.budgets.windows(2).find(|pair| pair[0] == pair[1]);
        if let Some(pair) = twice {
            return Err(self.doc.fail("budgets", format!("`budgets` contains {} twice", pair[0])));
        }
        let Some(n) = &c.normalize else { return Ok(()) };
        self.require(!n.mean.is_empty() && n.mean.len() == n.std.len(), "normalize", || {
            format!(
                "`mean` has {} channels and `std` has {}; both need one number a channel",
                n.mean.len(),
                n.std.len()
            )
        })?;
        let usable = n.std.iter().all(|s| *s > 0.0 && s.is_finite()) && n.mean.iter().all(|m| m.is_finite());
        self.require(usable, "normalize.std", || "every mean must be finite and every deviation above 0".into())
    }

    fn placement(&self, c: &Config) -> Result<()> {
        let p = &c.placement;
        self.require(!c.cells.is_empty(), "cells", || {
            "there is no [[cells]] entry; describe each kind of cell".into()
        })?;
        let kinds: Vec<&str> = c.cells.iter().map(|cell| cell.kind.as_str()).collect();
        for (i, kind) in kinds.iter().enumerate() {
            let key = format!("cells.{i}.kind");
            // Dots and bare numbers would make `--set cells.<kind>.ops` ambiguous.
            let word = kind.starts_with(|ch: char| ch.is_ascii_alphabetic())
                && kind.chars().all(|ch| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_'));
            self.require(word, &key, || {
                format!(
                    "a kind of cell is a word of letters, digits, `-` and `_` that starts with a letter, got `{kind}`"
                )
            })?;
            self.require(!kinds[..i].contains(kind), &key, || format!("two [[cells]] entries describe `{kind}`"))?;
        }
        self.require(p.stages.len() == STAGES, "placement.stages", || {
            format!("`placement.stages` has {} entries; RobustScaling is defined for {STAGES} stages", p.stages.len())
        })?;
        self.require(p.widths.len() == p.stages.len(), "placement.widths", || {
            format!("`placement.widths` has {} entries for {} stages; give one a stage", p.widths.len(), p.stages.len())
        })?;
        let stages = p.stages.iter().enumerate().map(|(i, kind)| (format!("placement.stages.{i}"), kind));
        for (key, kind) in std::iter::once(("placement.reduction".to_owned(), &p.reduction)).chain(stages) {
            self.require(kinds.contains(&kind.as_str()), &key, || {
                format!("no [[cells]] entry describes the kind `{kind}`{}", hint(kind, &kinds))
            })?;
        }
        for (i, kind) in kinds.iter().enumerate() {
            self.require(
                *kind == p.reduction || p.stages.iter().any(|s| s == kind),
                &format!("cells.{i}.kind"),
                || format!("no stage of [placement] uses cells of kind `{kind}`; use it or remove the entry"),
            )?;
        }
        for (i, width) in p.widths.iter().enumerate() {
            self.sizes(&[(&format!("placement.widths.{i}"), *width)])?;
        }
        self.sizes(&[("placement.stem_multiplier", p.stem_multiplier)])
    }

    fn cell(&self, at: &str, cell: &CellChoices, reduces: bool) -> Result<()> {
        let key = |name: &str| format!("{at}.{name}");
        self.range(&key("nodes"), cell.nodes, (1..=32).contains(&cell.nodes), "from 1 to 32")?;
        self.require(!cell.ops.is_empty(), &key("ops"), || {
            format!(
                "the `{}` cell has no operations; `none` alone removes an edge, an empty list chooses nothing",
                cell.kind
            )
        })?;
        self.distinct(&key("ops"), &cell.ops, "operation")?;
        let states = cell.nodes + 2;
        let exist = format!("a cell of {} nodes has states 0 to {}", cell.nodes, states - 1);
        for edge in &cell.edges {
            let (from, to) = (edge.from, edge.to);
            let key = key(&format!("edges.{from}->{to}"));
            for (state, end) in [(from, "starts"), (to, "ends")] {
                self.require(state < states, &key, || {
                    format!("edge `{from}->{to}` {end} at state {state}, which does not exist; {exist}")
                })?;
            }
            self.require(to >= 2, &key, || {
                format!(
                    "edge `{from}->{to}` ends at state {to}, an input of the cell; nodes are states 2 to {}",
                    states - 1
                )
            })?;
            self.require(from < to, &key, || {
                format!(
                    "edge `{from}->{to}` closes a cycle: a node reads only states with a smaller number than its own"
                )
            })?;
            self.distinct(&key, &edge.ops, "operation")?;
        }
        self.require(!cell.concat.is_empty(), &key("concat"), || {
            format!("`concat` of the `{}` cell is empty, so the cell has no output", cell.kind)
        })?;
        self.distinct(&key("concat"), &cell.concat, "state")?;
        if let Some((i, state)) = cell.concat.iter().enumerate().find(|(_, s)| **s >= states) {
            let message = format!("`concat` takes state {state}, which does not exist; {exist}");
            return Err(self.doc.fail(&key(&format!("concat.{i}")), message));
        }
        if let Some((i, state)) = cell.concat.iter().enumerate().find(|(_, s)| reduces && **s < 2) {
            let message =
                format!("`concat` of a reduction takes state {state}, an input, which is not halved like the nodes");
            return Err(self.doc.fail(&key(&format!("concat.{i}")), message));
        }
        self.connected(at, cell)
    }

    /// Every node reads something and is read by something; so, edges pointing forward, all of it reaches the output.
    fn connected(&self, at: &str, cell: &CellChoices) -> Result<()> {
        let live = |from: usize, to: usize| {
            let own = cell.edges.iter().find(|e| (e.from, e.to) == (from, to));
            own.map_or(&cell.ops, |e| &e.ops).iter().any(|op| *op != CellOp::None)
        };
        for node in 2..cell.nodes + 2 {
            let edges = format!("{at}.edges");
            self.require((0..node).any(|from| live(from, node)), &edges, || {
                format!("node {node} of the `{}` cell has no incoming edge with an operation", cell.kind)
            })?;
            let read = cell.concat.contains(&node) || (node + 1..cell.nodes + 2).any(|to| live(node, to));
            self.require(read, &format!("{at}.concat"), || {
                format!(
                    "node {node} of the `{}` cell is dangling: no edge reads it and `concat` leaves it out",
                    cell.kind
                )
            })?;
        }
        Ok(())
    }

    fn distinct<T: Display + std::hash::Hash + Eq>(&self, key: &str, items: &[T], noun: &str) -> Result<()> {
        let mut seen = HashSet::new();
        match items.iter().enumerate().find(|(_, item)| !seen.insert(*item)) {
            Some((i, item)) => Err(self.doc.fail(&format!("{key}.{i}"), format!("{noun} `{item}` is listed twice"))),
            None => Ok(()),
        }
    }

    fn supernet(&self, c: &Config) -> Result<()> {
        let (channels, layers) = (c.supernet.channels, c.supernet.layers);
        self.sizes(&[("supernet.channels", channels)])?;
        self.range("supernet.layers", layers, (1..=1000).contains(&layers), "from 1 to 1000")?;
        let every_kind = |layers: usize| {
            let row = c.placement.row(channels, layers).unwrap_or_default();
            c.cells.iter().all(|cell| row.iter().any(|placed| placed.kind == cell.kind))
        };
        self.require(every_kind(layers), "supernet.layers", || {
            // Three times the stages are always enough: every third then has a reduction and two ordinary cells.
            let enough = (1..=3 * STAGES).find(|n| every_kind(*n)).unwrap_or(3 * STAGES);
            format!(
                "{layers} layers are too few for {STAGES} stages with each kind of cell in place; use at least {enough}"
            )
        })?;
        let partial = c.supernet.partial;
        self.range("supernet.partial", partial, (1..=64).contains(&partial), "from 1 to 64")?;
        let divides = c.placement.widths.iter().all(|w| (channels * w).is_multiple_of(partial * partial));
        self.require(divides, "supernet.partial", || {
            format!(
                "with one channel in {partial} through the operations, the channels of every stage must be a multiple of \
                 {}; `supernet.channels` is {channels}",
                partial * partial
            )
        })?;
        let odd = c.placement.widths.iter().skip(1).find(|w| !(channels * **w / partial).is_multiple_of(2));
        self.require(odd.is_none(), "supernet.channels", || {
            format!(
                "the operations of a stage behind a reduction would have {} channels, an odd number, which a factorised \
                 reduction cannot split in two",
                channels * odd.unwrap_or(&1) / partial
            )
        })
    }

    fn data_and_search(&self, c: &Config) -> Result<()> {
        let (split, s) = (&c.split, &c.search);
        self.at_least_one(&[("split.validation", split.validation)])?;
        self.require(split.train == 0 || split.validation < split.train, "split.validation", || {
            format!("{} of {} training images held out leave none to train on", split.validation, split.train)
        })?;
        self.share("split.weights_share", split.weights_share)?;
        self.at_least_one(&[
            ("search.epochs", s.epochs as usize),
            ("search.batch", s.batch),
            ("search.probe", s.probe),
        ])?;
        for (key, epochs) in
            [("search.stage_one_epochs", s.stage_one_epochs), ("search.warmup_epochs", s.warmup_epochs)]
        {
            self.require(epochs <= s.epochs, key, || {
                format!("`{key}` is {epochs}, more than the {} epochs of the search", s.epochs)
            })?;
        }
        self.positive("search.lambda", s.lambda)?;
        self.attack("search.attack", &Attack::Pgd(s.attack))?;
        if let Some((key, why)) = s.single_step.and_then(|rule| Adversary::SingleStep(rule).fault()) {
            let key = format!("search.single_step.{key}");
            return Err(self.doc.fail(&key, format!("`{key}` {why}")));
        }
        self.sgd("search.weights", &s.weights)?;
        self.adam("search.arch", &s.arch)?;
        self.not_negative("search.arch_init", s.arch_init)?;
        if let Some(Collapse { weightless, eigenvalue }) = s.collapse {
            for (key, share) in [("weightless", weightless), ("eigenvalue", eigenvalue)] {
                share.map_or(Ok(()), |share| self.share(&format!("search.collapse.{key}"), share))?;
            }
            self.require(weightless.or(eigenvalue).is_some(), "search.collapse", || {
                "`search.collapse` is empty; give `weightless`, `eigenvalue` or both".into()
            })?;
        }
        s.check_strategy(c, self)
    }

    fn candidates(&self, c: &Config) -> Result<()> {
        let s = &c.scaling;
        self.at_least_one(&[
            ("derive.genotypes", c.derive.genotypes as usize),
            ("derive.edges_per_node", c.derive.edges_per_node),
            ("derive.images", c.derive.images),
            ("scaling.per_budget", s.per_budget),
        ])?;
        let [low, high] = s.depth_share;
        self.share("scaling.depth_share.0", low)?;
        self.share("scaling.depth_share.1", high)?;
        self.require(low <= high, "scaling.depth_share", || {
            format!("`scaling.depth_share` is reversed: [{low}, {high}]; write the smaller share first")
        })?;
        self.range("scaling.tolerance", s.tolerance, s.tolerance > 0.0 && s.tolerance < 1.0, "between 0 and 1")?;
        let fewest = (1..).find(|n| stage_depths(*n).iter().all(|d| *d > 0)).unwrap_or(STAGES);
        let enough = format!("from {fewest} (so that every stage gets a cell) to 1000");
        self.range("scaling.max_cells", s.max_cells, (fewest..=1000).contains(&s.max_cells), &enough)?;
        let multiple = s.channel_multiple;
        let even = multiple > 0 && multiple.is_multiple_of(2);
        self.range("scaling.channel_multiple", multiple, even, "even and above 0 (a factorised reduction halves it)")?;
        self.sizes(&[("scaling.channel_multiple", multiple)])?;
        self.range("scaling.slack", s.slack, s.slack <= 8, "from 0 to 8")
    }

    pub fn evaluate(&self, e: &Evaluate) -> Result<()> {
        let Evaluate { batch, gradient_samples: samples, .. } = *e;
        self.at_least_one(&[("evaluate.batch", batch)])?;
        self.range("evaluate.gradient_samples", samples, (1..=MOST).contains(&samples), &format!("from 1 to {MOST}"))
    }

    pub fn attack(&self, at: &str, attack: &Attack) -> Result<()> {
        match attack.fault() {
            None => Ok(()),
            Some((key, message)) => Err(self.doc.fail(&format!("{at}.{key}"), format!("`{at}.{key}` {message}"))),
        }
    }

    fn sgd(&self, at: &str, sgd: &Sgd) -> Result<()> {
        self.positive(&format!("{at}.lr"), sgd.lr)?;
        let final_lr = sgd.lr_min >= 0.0 && sgd.lr_min <= sgd.lr;
        self.range(&format!("{at}.lr_min"), sgd.lr_min, final_lr, "at least 0 and at most `lr`")?;
        self.decay(&format!("{at}.momentum"), sgd.momentum)?;
        self.not_negative(&format!("{at}.weight_decay"), sgd.weight_decay)?;
        self.positive(&format!("{at}.clip"), sgd.clip)
    }

    fn adam(&self, at: &str, adam: &Adam) -> Result<()> {
        self.positive(&format!("{at}.lr"), adam.lr)?;
        self.decay(&format!("{at}.beta1"), adam.beta1)?;
        self.decay(&format!("{at}.beta2"), adam.beta2)?;
        self.not_negative(&format!("{at}.weight_decay"), adam.weight_decay)
    }

    fn decay(&self, key: &str, value: f64) -> Result<()> {
        self.range(key, value, (0.0..1.0).contains(&value), "at least 0 and below 1")
    }
}
