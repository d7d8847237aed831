//! Time and memory of the program's own procedures: a search's steps, a training step, a plan of attacks.
//!
//! What is timed is what `search` runs, on images drawn from a seed; no procedure is copied here. A measurement is a
//! [`Line`], one JSON object. It has the memory that was used and the engine's estimate from the graph
//! ([`Memory`]). The peak is that of the process: for the peak of one case, run it in a process of its own.

pub mod attack;
pub mod step;
pub mod train;

use serde::Serialize;

use crate::arch::cost::cost;
use crate::arch::op::Shape;
use crate::data::{Dataset, Images};
use crate::engine::{Memory, Network, Work};
use crate::error::Result;
use crate::jobs::peak_resident;
use crate::jobs::time::{median, times_ms};
use crate::seed::Seed;
use crate::units::Params;

/// The measurement of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Line<T> {
    /// The case.
    pub case: String,
    /// Median of the timed repetitions, in milliseconds.
    pub ms: f64,
    /// The fastest of them.
    pub ms_min: f64,
    /// The slowest of them.
    pub ms_max: f64,
    /// Number of timed repetitions, after one that was not timed.
    pub steps: usize,
    /// Images of the batch by the median.
    pub images_per_s: f64,
    /// The case's own facts.
    #[serde(flatten)]
    pub subject: T,
    /// Images a step.
    pub batch: usize,
    /// Trainable scalars of the network.
    pub params: Params,
    /// Where it ran.
    pub device: &'static str,
    /// Threads it ran on.
    pub threads: usize,
    /// The largest resident size of the process so far, on Linux.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// The resident size of the process before the case's network was made, on Linux.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_bytes: Option<u64>,
    /// The engine's estimate of the case's largest memory, without the program itself.
    pub planned_bytes: u64,
    /// The arena of the largest pass in it.
    pub arena_bytes: u64,
}

/// The resources of a case.
struct Needs {
    batch: usize,
    params: Params,
    before: Option<u64>,
    memory: Memory,
}

impl Needs {
    /// `before` is the resident size of the process before the network was made.
    fn of(network: &Network, work: &Work, before: Option<u64>) -> Result<Self> {
        Ok(Needs { batch: work.batch, params: cost(network.net()).params, before, memory: network.memory(work)? })
    }
}

impl<T> Line<T> {
    /// Runs the work once, then `steps` times with the clock.
    fn measure(
        case: &str,
        subject: T,
        needs: Needs,
        steps: usize,
        work: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Self> {
        let times = times_ms(steps, work)?;
        let ms = median(&times);
        let Needs { batch, params, before, memory } = needs;
        Ok(Line {
            case: case.to_owned(),
            ms: rounded(ms),
            ms_min: rounded(times[0]),
            ms_max: rounded(times[steps - 1]),
            steps,
            images_per_s: rounded(1e3 * batch as f64 / ms),
            subject,
            batch,
            params,
            device: "cpu",
            threads: rayon::current_num_threads(),
            peak_bytes: peak_resident(),
            before_bytes: before,
            planned_bytes: memory.total(),
            arena_bytes: memory.arena,
        })
    }
}

/// To a thousandth: below it there is only noise.
fn rounded(value: f64) -> f64 {
    (1e3 * value).round() / 1e3
}

/// A number of training images of uniform noise with uniform labels.
fn noise(image: Shape, classes: usize, n: usize, seed: Seed) -> Dataset {
    let mut stream = seed.child("noise").stream();
    let pixels = (0..n * image.len()).map(|_| stream.below(256) as u8).collect();
    let labels = (0..n).map(|_| stream.below(classes) as u32).collect();
    Dataset {
        name: "noise".into(),
        classes: (0..classes).map(|c| c.to_string()).collect(),
        image,
        train: Images { pixels, labels },
        test: Images::default(),
        notes: Vec::new(),
    }
}
