//! A training: what its epochs were like, as a table, as CSV and as a picture.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::events::Events;
use super::figure::Figure;
use super::panel::{Curve, EDGE, Panel};
use super::style::{FAINT, INK, LINE, Style, TEXT};
use super::svg::{Anchor, Svg, wrap};
use super::table::{Cell, align, number};
use crate::units::Tally;

/// A line of a training's journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An epoch ended.
    Epoch(EpochRecord),
    /// The training failed: a loss, a gradient or an answer was not a number.
    Diverged {
        /// Finished epochs.
        epoch: u32,
        /// Finished steps of the epoch that it failed in.
        step: u64,
        /// What was not a number.
        reason: String,
    },
    /// The guard saw a collapse and reacted.
    Collapsed {
        /// The epoch behind which it did, from 1.
        epoch: u32,
        /// What it saw and did, in words.
        what: String,
    },
    /// All epochs are over, or the guard ended the training, and everything is written.
    Finished,
}

/// An epoch of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Its number, from 1.
    pub epoch: u32,
    /// Mean loss of its steps.
    pub loss: f64,
    /// Learning rate of its last step.
    pub lr: f64,
    /// Radius of its last attack; none without an attack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eps: Option<f64>,
    /// Held-out images that are right clean.
    pub clean: Tally,
    /// Held-out images that stay right under the attack of the watch.
    pub robust: Tally,
    /// Mean distortion of the attacks that were monitored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distortion: Option<f64>,
    /// Steps that the attack then took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
}

/// A training as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingReport {
    /// The network, as it was named.
    pub net: String,
    /// The recipe in words.
    pub recipe: String,
    /// The images in words.
    pub images: String,
    /// The attack of the watch in words.
    pub watch: String,
    /// The run's seed.
    pub seed: u64,
    /// The epochs in order.
    pub epochs: Vec<EpochRecord>,
    /// The number of the epoch whose weights are kept; none before the first is over.
    pub best: Option<u32>,
    /// What the guard saw and did, in order.
    pub collapses: Vec<String>,
    /// What ended it before its time, if something did.
    pub diverged: Option<String>,
}

/// The epoch that is kept of some: that of most images that stay right under attack, of equal ones that of most clean
/// ones, of these the first.
pub fn best(epochs: &[EpochRecord]) -> Option<u32> {
    let key = |record: &EpochRecord| (record.robust.hit, record.clean.hit);
    let later = |best: Option<u32>, record: &EpochRecord| {
        let before = best.and_then(|best| epochs.iter().find(|r| r.epoch == best));
        if before.is_none_or(|before| key(record) > key(before)) { Some(record.epoch) } else { best }
    };
    epochs.iter().fold(None, later)
}

impl TrainingReport {
    /// A line an epoch, `curves.csv`.
    pub fn csv(&self) -> String {
        let mut text = String::from("epoch,loss,lr,eps,clean,robust,images,distortion,attack_steps\n");
        let maybe = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
        for r in &self.epochs {
            let steps = r.steps.map_or(String::new(), |n| n.to_string());
            let (eps, distortion) = (maybe(r.eps), maybe(r.distortion));
            let (clean, robust) = (r.clean.rate(), r.robust.rate());
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{},{},{},{eps},{clean},{robust},{},{distortion},{steps}",
                r.epoch, r.loss, r.lr, r.clean.total
            );
        }
        text
    }

    /// The epoch whose weights are kept.
    pub fn kept(&self) -> Option<&EpochRecord> {
        self.epochs.iter().find(|r| Some(r.epoch) == self.best)
    }

    /// The curves as a TensorBoard event file; a step is an epoch.
    pub fn events(&self) -> Vec<u8> {
        let mut events = Events::new();
        for r in &self.epochs {
            let mut scalars = vec![
                ("loss", r.loss),
                ("learning_rate", r.lr),
                ("held_out/clean", r.clean.rate()),
                ("held_out/attacked", r.robust.rate()),
            ];
            let maybe = [("eps", r.eps), ("distortion", r.distortion), ("attack_steps", r.steps.map(f64::from))];
            scalars.extend(maybe.into_iter().filter_map(|(tag, value)| Some((tag, value?))));
            events.scalars(r.epoch, &scalars);
        }
        events.into_bytes()
    }

    /// For a terminal: at most about twenty epochs, the best and the last among them.
    pub fn table(&self) -> String {
        let mut text = format!(
            "network  {}\nrecipe   {}; seed {}\nimages   {}\nwatched  {}\n\n",
            self.net, self.recipe, self.seed, self.images, self.watch
        );
        let adapts = self.epochs.iter().any(|r| r.distortion.is_some());
        let mut head = ["epoch", "loss", "lr", "eps/255", "clean", "robust", "95 %"].map(number).to_vec();
        if adapts {
            head.extend(["distortion", "steps"].map(number));
        }
        let mut rows = vec![head];
        let every = self.epochs.len().div_ceil(20).max(1);
        let last = self.epochs.last().map(|r| r.epoch);
        for r in &self.epochs {
            let shown = (r.epoch as usize).is_multiple_of(every) || Some(r.epoch) == self.best || Some(r.epoch) == last;
            if shown {
                rows.push(self.row(r, adapts));
            }
        }
        text.push_str(&align(&rows));
        for what in &self.collapses {
            let _ = write!(text, "\nguard: {what}");
        }
        if let (Some(best), Some(last)) = (self.best, last) {
            let _ = writeln!(text, "\nkept: epoch {best} of {last}, the best on the held-out images");
        }
        if let Some(why) = &self.diverged {
            let _ = writeln!(text, "diverged: {why}");
        }
        text
    }

    fn row(&self, r: &EpochRecord, adapts: bool) -> Vec<Cell> {
        let (low, high) = r.robust.wilson95();
        let mark = if Some(r.epoch) == self.best { "*" } else { "" };
        let mut cells = vec![
            number(&format!("{mark}{}", r.epoch)),
            number(&format!("{:.4}", r.loss)),
            number(&format!("{:.5}", r.lr)),
            number(&r.eps.map_or("-".into(), |eps| format!("{:.2}", 255.0 * eps))),
            number(&r.clean.to_string()),
            number(&r.robust.to_string()),
            number(&format!("{:.2}..{:.2}", 100.0 * low, 100.0 * high)),
        ];
        if adapts {
            cells.push(number(&r.distortion.map_or("-".into(), |d| format!("{d:.4}"))));
            cells.push(number(&r.steps.map_or("-".into(), |n| n.to_string())));
        }
        cells
    }

    /// The curves as SVG: accuracies, loss, learning rate, radius. The same training gives the same bytes.
    pub fn svg(&self) -> String {
        self.figure(&Style::default()).svg.finish()
    }

    /// The same in a style, with its numbers.
    pub fn figure(&self, style: &Style) -> Figure {
        let said = [&self.recipe, &self.images, &self.watch];
        let name = format!("Training of {}, seed {}", self.net, self.seed);
        let mut caption: Vec<String> = Vec::new();
        let mut titles: Vec<String> = Vec::new();
        match style.titled {
            true => titles = said.iter().flat_map(|line| wrap(line, TEXT, style.width - 2.0 * MARGIN)).collect(),
            false => caption = [&name].into_iter().chain(said).cloned().collect(),
        }
        let columns = if style.is_narrow() { 1 } else { 2 };
        let (margin, high) = if style.is_narrow() { (6.0, 170.0) } else { (MARGIN, PANEL) };
        let top = if style.titled { margin + 26.0 + titles.len() as f64 * LINE } else { 0.0 };
        let mut svg = Svg::new(style.width, top + (4 / columns) as f64 * (high + GAP));
        if style.titled {
            svg.text(margin, margin + 8.0, 18.0, Anchor::Start, INK, &name);
        }
        for (i, line) in titles.iter().enumerate() {
            svg.text(margin, margin + 30.0 + i as f64 * LINE, TEXT, Anchor::Start, FAINT, line);
        }
        let of = |read: fn(&EpochRecord) -> Option<f64>| -> Vec<(f64, f64)> {
            self.epochs.iter().filter_map(|r| Some((f64::from(r.epoch), read(r)?))).collect()
        };
        let accuracies =
            [("clean", of(|r| Some(100.0 * r.clean.rate()))), ("under attack", of(|r| Some(100.0 * r.robust.rate())))];
        let panels: [(&str, &[Curve<'_>]); 4] = [
            ("held-out images that are right, %", &accuracies),
            ("loss, mean of an epoch", &[("", of(|r| Some(r.loss)))]),
            ("learning rate", &[("", of(|r| Some(r.lr)))]),
            ("radius of the training attack, 1/255", &[("", of(|r| r.eps.map(|eps| 255.0 * eps)))]),
        ];
        let panel = Panel { low: 0.0, last: self.epochs.last().map_or(1, |r| r.epoch), best: self.best, style: *style };
        let across = columns as f64;
        // One column leaves room for half of its last label; two for the labels of the second.
        let wide = if columns == 1 {
            style.width - 2.0 * margin - EDGE - 10.0
        } else {
            (style.width - 2.0 * margin - (across + 1.0) * EDGE) / across
        };
        for (i, (title, series)) in panels.into_iter().enumerate() {
            let left = margin + EDGE + (i % columns) as f64 * (wide + EDGE + 20.0);
            let above = top + 30.0 + (i / columns) as f64 * (high + GAP);
            panel.draw(&mut svg, title, series, (left, left + wide), (above + high - 30.0, above));
        }
        Figure { svg, csv: Some(self.csv()), caption }
    }
}

const MARGIN: f64 = 24.0;
const PANEL: f64 = 240.0;
const GAP: f64 = 50.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::style::Palette;

    fn record(epoch: u32, robust: u64, clean: u64) -> EpochRecord {
        let tally = |hit| Tally { hit, total: 100 };
        EpochRecord {
            epoch,
            loss: 2.0 / f64::from(epoch),
            lr: 0.1,
            eps: Some(8.0 / 255.0),
            clean: tally(clean),
            robust: tally(robust),
            distortion: None,
            steps: None,
        }
    }

    fn report(epochs: Vec<EpochRecord>) -> TrainingReport {
        let words = |text: &str| text.to_owned();
        let (net, recipe, images, watch) = (words("wrn:16-1"), words("n-fgsm"), words("synthetic"), words("PGD-10"));
        let best = best(&epochs);
        TrainingReport { net, recipe, images, watch, seed: 0, epochs, best, collapses: Vec::new(), diverged: None }
    }

    #[test]
    fn the_first_of_the_best_is_kept() {
        assert_eq!(best(&[]), None);
        assert_eq!(best(&[record(1, 30, 50), record(2, 40, 50), record(3, 40, 50), record(4, 39, 90)]), Some(2));
        assert_eq!(best(&[record(1, 40, 50), record(2, 40, 60)]), Some(2));
    }

    #[test]
    fn curves_are_numbers_and_a_picture() {
        let found = report((1..=30).map(|epoch| record(epoch, 20 + u64::from(epoch), 60)).collect());
        let csv = found.csv();
        assert_eq!(csv.lines().count(), 31);
        assert_eq!(csv.lines().nth(2), Some("2,1,0.1,0.03137254901960784,0.6,0.22,100,,"));
        let table = found.table();
        assert!(table.contains("*30") && table.contains("kept: epoch 30 of 30"), "{table}");
        for few in [found.clone(), report(vec![record(1, 1, 1)]), report(vec![])] {
            let svg = few.svg();
            assert!(svg.starts_with("<svg") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert_eq!(svg, few.svg());
            let paper = few.figure(&Style { width: 387.0, titled: false, palette: Palette::Grey });
            assert_eq!((paper.svg.size().0, paper.caption.len()), (387.0, 4));
            assert_eq!(paper.csv, Some(few.csv()));
        }
    }
}
