//! Trainings of several seeds: what each came to, and the mean and the spread over them.

use serde::Serialize;

use super::attacked::AttackResultFile;
use super::table::{Cell, align, number, word};
use super::training::{EpochRecord, TrainingReport};
use crate::study::Moments;
use crate::units::Tally;

/// A training, and the attack on what it kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trained {
    /// The training.
    pub training: TrainingReport,
    /// What the network that was kept withstands, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attacked: Option<AttackResultFile>,
}

/// A number of every training, with mean and spread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// What is counted.
    pub what: String,
    /// The share of images of each training, in their order; none where it has none.
    pub shares: Vec<Option<f64>>,
    /// Mean and standard deviation of those there are; none of fewer than two.
    pub moments: Option<Moments>,
}

/// Trainings that differ in the seed alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Version of this document.
    pub schema_version: u32,
    /// Their seeds.
    pub seeds: Vec<u64>,
    /// Clean and attacked accuracy on held-out images, at the best and the last epoch, and on test images where these
    /// were attacked.
    pub lines: Vec<Line>,
    /// The trainings.
    pub trainings: Vec<Trained>,
}

impl Summary {
    /// What each training kept, in a line.
    pub fn words(&self) -> String {
        let kept = |trained: &Trained| {
            let training = &trained.training;
            let best = training.kept().map_or("nothing kept".to_owned(), |epoch| {
                let (of, clean, robust) = (training.epochs.len(), epoch.clean, epoch.robust);
                format!("epoch {} of {of} kept, {clean} clean, {robust} robust", epoch.epoch)
            });
            format!("{} seed {}: {best}", training.net, training.seed)
        };
        self.trainings.iter().map(kept).collect::<Vec<_>>().join("; ")
    }

    /// Of some trainings in order.
    pub fn of(trainings: Vec<Trained>) -> Self {
        let line = |what: &str, read: &dyn Fn(&Trained) -> Option<f64>| {
            let shares: Vec<Option<f64>> = trainings.iter().map(read).collect();
            let known: Vec<f64> = shares.iter().flatten().copied().collect();
            Line { what: what.to_owned(), shares, moments: Moments::of(&known).ok() }
        };
        let held_out = |of: fn(&TrainingReport) -> Option<&EpochRecord>, share: fn(&EpochRecord) -> Tally| {
            move |trained: &Trained| of(&trained.training).map(|epoch| share(epoch).rate())
        };
        let tested = |count: fn(&AttackResultFile) -> u64| {
            move |trained: &Trained| {
                let found = trained.attacked.as_ref();
                found.map(|found| Tally { hit: count(found), total: found.n }.rate())
            }
        };
        let mut lines = vec![
            line("held out, kept epoch, clean", &held_out(TrainingReport::kept, |r| r.clean)),
            line("held out, kept epoch, attacked", &held_out(TrainingReport::kept, |r| r.robust)),
            line("held out, last epoch, clean", &held_out(|t| t.epochs.last(), |r| r.clean)),
            line("held out, last epoch, attacked", &held_out(|t| t.epochs.last(), |r| r.robust)),
        ];
        if trainings.iter().any(|trained| trained.attacked.is_some()) {
            lines.push(line("test, kept epoch, clean", &tested(|found| found.clean_correct)));
            lines.push(line("test, kept epoch, under all attacks", &tested(|found| found.robust)));
        }
        let seeds = trainings.iter().map(|trained| trained.training.seed).collect();
        Summary { schema_version: 1, seeds, lines, trainings }
    }

    /// For a terminal.
    pub fn table(&self) -> String {
        let mut head = vec![word("%")];
        head.extend(self.seeds.iter().map(|seed| number(&format!("seed {seed}"))));
        head.extend(["mean", "sd"].map(number));
        let percent = |share: Option<f64>| number(&share.map_or("-".into(), |share| format!("{:.2}", 100.0 * share)));
        let row = |line: &Line| -> Vec<Cell> {
            let mut cells = vec![word(&line.what)];
            cells.extend(line.shares.iter().map(|share| percent(*share)));
            cells.extend([line.moments.map(|m| m.mean), line.moments.map(|m| m.sd)].map(percent));
            cells
        };
        let rows: Vec<_> = std::iter::once(head).chain(self.lines.iter().map(row)).collect();
        align(&rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::training::best;
    use super::*;

    fn trained(seed: u64, robust: &[u64]) -> Trained {
        let record = |(i, hit): (usize, &u64)| EpochRecord {
            epoch: i as u32 + 1,
            loss: 1.0,
            lr: 0.1,
            eps: None,
            clean: Tally { hit: 80, total: 100 },
            robust: Tally { hit: *hit, total: 100 },
            distortion: None,
            steps: None,
        };
        let epochs: Vec<_> = robust.iter().enumerate().map(record).collect();
        let words = |text: &str| text.to_owned();
        let (net, recipe, images, watch) = (words("wrn:16-1"), words("n-fgsm"), words("synthetic"), words("PGD-10"));
        let best = best(&epochs);
        let training =
            TrainingReport { net, recipe, images, watch, seed, epochs, best, collapses: vec![], diverged: None };
        Trained { training, attacked: None }
    }

    #[test]
    fn means_and_spreads_are_those_of_the_kept_and_the_last_epochs() {
        let summary = Summary::of(vec![trained(3, &[20, 40, 30]), trained(4, &[50, 10, 10]), trained(5, &[])]);
        let line = |what: &str| summary.lines.iter().find(|line| line.what == what).unwrap();
        let kept = line("held out, kept epoch, attacked");
        assert_eq!(kept.shares, [Some(0.4), Some(0.5), None]);
        let Moments { n, mean, sd } = kept.moments.unwrap();
        assert!(n == 2 && (mean - 0.45).abs() < 1e-12 && (sd - 0.005f64.sqrt()).abs() < 1e-12, "{mean} {sd}");
        assert_eq!(line("held out, last epoch, attacked").shares, [Some(0.3), Some(0.1), None]);
        let table = summary.table();
        assert!(table.contains("seed 4") && table.contains("45.00") && table.contains("7.07"), "{table}");
        // One training has no spread.
        assert!(Summary::of(vec![trained(3, &[20])]).lines[0].moments.is_none());
    }
}
