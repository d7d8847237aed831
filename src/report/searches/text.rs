//! A study for a terminal.

use super::{Proxy, Question, SearchesReport, Strategy, Verdict};
use crate::report::table::{Cell, align, number, word};
use crate::study::{Kendall, Moments};

impl SearchesReport {
    /// Tables, and what they show in words. Ends with a newline.
    pub fn text(&self) -> String {
        let about = &self.about;
        let mut text = format!(
            "study     {} on {}, networks of {} MACs within {:.1} %, seed {}\n\
             trained   {}; last epoch\n\
             robust    right on the test image and under every attack: {}\n\
             searched  by the {}\n",
            about.name,
            about.data,
            about.budget,
            100.0 * about.tolerance,
            about.seed,
            about.training,
            about.attacks.join(", "),
            about.objective,
        );
        for missing in &self.missing {
            text.push_str(&format!("missing   {missing}\n"));
        }
        text.push('\n');
        let head = ["n", "robust %", "sd"].map(number);
        let mut rows: Vec<Vec<Cell>> = vec![std::iter::once(word("networks")).chain(head).collect()];
        rows.push(group("random", self.random));
        rows.push(group("hand-made, trainings", self.hand_made));
        rows.extend(self.strategies.iter().map(|s| group(&format!("found by {}", s.method.word()), s.found)));
        text.push_str(&align(&rows));

        text.push('\n');
        let head = ["against %", "difference", "95 %", "p", "p by ranks"].map(number);
        let mut rows: Vec<Vec<Cell>> = vec![[word("question")].into_iter().chain(head).collect()];
        rows[0].push(word("verdict"));
        for strategy in &self.strategies {
            rows.extend(strategy.asked.each().map(|(letter, question)| {
                let (what, name) = (asked(letter, question), strategy.method.word());
                row(&format!("{letter}: {name} better than {what}"), question)
            }));
        }
        text.push_str(&align(&rows));
        text.push_str("p: one-sided, corrected for all questions of the study (Holm)\n\n");

        if let Some(noise) = &self.noise {
            let retest = noise
                .test_retest
                .map_or(String::new(), |tau| format!("; two trainings order them with tau {}", ends(&tau)));
            text.push_str(&format!(
                "{} random networks trained twice: sd {:.2} points from training to training, {:.2} among networks without \
                 that{retest}\n",
                noise.networks,
                100.0 * noise.run_sd,
                100.0 * noise.architecture_sd,
            ));
        }
        let inherited = self.strategies.iter().flat_map(|s| &s.inherited);
        let mut rows: Vec<Vec<Cell>> =
            vec![vec![word("predicts robust accuracy"), number("n"), number("tau"), number("given params")]];
        rows.extend(self.proxies.iter().chain(inherited).map(Proxy::row));
        if rows.len() > 1 {
            text.push_str(&align(&rows));
        }
        for sentence in self.verdicts() {
            text.push_str(&format!("\n{sentence}\n"));
        }
        text
    }

    /// What the study shows, a sentence a question.
    pub fn verdicts(&self) -> Vec<String> {
        let of = |strategy: &Strategy| {
            let found = strategy.found.map_or(0.0, |found| found.mean);
            let sentence = |(letter, question): (char, &Question)| {
                let (what, name) = (asked(letter, question), strategy.method.word());
                let numbers = format!(
                    "{:.2} % against {:.2} %, {:+.2} points ({:+.2} to {:+.2}), p {}",
                    100.0 * found,
                    100.0 * question.against,
                    100.0 * question.welch.difference,
                    100.0 * question.welch.low,
                    100.0 * question.welch.high,
                    probability(question.p_holm)
                );
                match question.verdict {
                    Verdict::Better => format!("{letter}: what {name} finds is better than {what}: {numbers}."),
                    Verdict::NotShown => {
                        format!("{letter}: that what {name} finds is better than {what} is not shown: {numbers}.")
                    }
                    Verdict::Worse => format!("{letter}: what {name} finds is worse than {what}: {numbers}."),
                }
            };
            strategy.asked.each().map(sentence).collect::<Vec<_>>()
        };
        self.strategies.iter().flat_map(of).collect()
    }
}

/// What a question compares with.
fn asked(letter: char, question: &Question) -> String {
    match (letter, question.networks) {
        ('A', _) if question.at_equal_macs => "random sampling, at equal MACs".to_owned(),
        ('A', _) => "random sampling".to_owned(),
        (_, Some(networks)) => {
            let anew = if question.trained_anew { ", trained anew" } else { "" };
            format!("the best of {networks} random networks, which cost the same{anew}")
        }
        _ => "the hand-made network".to_owned(),
    }
}

fn group(name: &str, found: Option<Moments>) -> Vec<Cell> {
    let Some(Moments { n, mean, sd }) = found else { return vec![word(name), number("-")] };
    vec![word(name), number(&n.to_string()), number(&points(mean)), number(&points(sd))]
}

fn row(name: &str, question: &Question) -> Vec<Cell> {
    let Question { welch, mann_whitney, against, p_holm, verdict, .. } = question;
    vec![
        word(name),
        number(&points(*against)),
        number(&format!("{:+.2}", 100.0 * welch.difference)),
        number(&format!("{:+.2}..{:+.2}", 100.0 * welch.low, 100.0 * welch.high)),
        number(&probability(*p_holm)),
        number(&mann_whitney.map_or("-".to_owned(), probability)),
        word(verdict.word()),
    ]
}

impl Proxy {
    fn row(&self) -> Vec<Cell> {
        let given = self.given_params.map_or("-".to_owned(), |tau| format!("{tau:.2}"));
        vec![word(&self.name), number(&self.networks.to_string()), number(&ends(&self.tau)), number(&given)]
    }
}

fn ends(tau: &Kendall) -> String {
    format!("{:.2} ({:.2}..{:.2})", tau.tau, tau.low, tau.high)
}

fn points(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

fn probability(p: f64) -> String {
    if p < 0.001 { "< .001".to_owned() } else { format!("{p:.3}").trim_start_matches('0').to_owned() }
}
