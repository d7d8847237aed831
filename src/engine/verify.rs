//! Holds a finished plan to what it says of itself: walks it as the executor does, with a lane of images, and records
//! which buffer of which image stands in memory.
//!
//! Nothing of how lifetimes were found is used here: places, steps and their order alone.

use super::arena::{BufferId, Place};
use super::call::Kind;
use super::plan::{Action, Plan, Segment, Step, groups};

/// Which buffers of which images of a lane stand in memory.
struct Memory<'a> {
    places: &'a [Place],
    images: usize,
    /// For every buffer those that share scalars with it.
    sharing: Vec<Vec<usize>>,
    /// `[buffer][image]`.
    there: Vec<Vec<bool>>,
}

impl<'a> Memory<'a> {
    fn new(places: &'a [Place], images: usize) -> Self {
        let mut sharing = vec![Vec::new(); places.len()];
        let mut order: Vec<usize> = (0..places.len()).filter(|b| places[*b].len > 0).collect();
        order.sort_by_key(|b| places[*b].start);
        for (k, a) in order.iter().enumerate() {
            for b in order[k + 1..].iter().take_while(|b| places[**b].start < places[*a].start + places[*a].len) {
                sharing[*a].push(*b);
                sharing[*b].push(*a);
            }
        }
        Memory { places, images, sharing, there: vec![vec![false; images]; places.len()] }
    }

    /// The scalars of one image's buffer in a lane, as the executor lays them out.
    fn at(&self, buffer: usize, image: usize) -> [usize; 2] {
        let Place { start, len } = self.places[buffer];
        let first = start * self.images + image * len;
        [first, first + len]
    }

    /// Writes an image's buffer; whatever shares scalars with it is gone.
    fn write(&mut self, buffer: usize, image: usize) {
        let [first, end] = self.at(buffer, image);
        for other in &self.sharing[buffer] {
            let Place { start, len } = self.places[*other];
            let base = start * self.images;
            let images = first.saturating_sub(base) / len..end.saturating_sub(base).div_ceil(len).min(self.images);
            for there in self.there[*other].get_mut(images).into_iter().flatten() {
                *there = false;
            }
        }
        self.there[buffer][image] = true;
    }

    fn read(&self, buffer: BufferId, image: usize) -> Result<(), String> {
        match self.there[buffer.index()].get(image) {
            Some(true) => Ok(()),
            _ => Err(format!("buffer {} of image {image} is read where nothing of it stands", buffer.index())),
        }
    }
}

/// The first thing that a plan reads and that is not there, in words, when of every segment, forward and then backward,
/// `together` images take a step at a time.
pub(super) fn verify(plan: &Plan, together: &[usize]) -> Result<(), String> {
    let segments = plan.forward.len() + plan.backward.len();
    if together.len() != segments {
        return Err(format!("{} groupings of {segments} segments", together.len()));
    }
    // Two groups of images and one more: what one group does to the next, and a last one that is not full.
    let most = together.iter().copied().max().unwrap_or(1);
    verify_images(plan, together, 2 * most + 1)
}

/// The same when all images of a batch take a step before any takes the next: then they are as one image of their size.
#[cfg(feature = "cuda")]
pub(super) fn verify_at_once(plan: &Plan) -> Result<(), String> {
    verify_images(plan, &vec![1; plan.forward.len() + plan.backward.len()], 1)
}

fn verify_images(plan: &Plan, together: &[usize], images: usize) -> Result<(), String> {
    let mut memory = Memory::new(&plan.places, images);
    for (segment, together) in plan.forward.iter().chain(&plan.backward).zip(together) {
        let merged = segment.merged.iter().flat_map(|b| (0..memory.images).map(move |image| (*b, image)));
        for (buffer, image) in merged {
            memory.read(buffer, image).map_err(|why| format!("between segments: {why}"))?;
        }
        walk(plan, segment, *together, &mut memory)?;
    }
    for image in 0..memory.images {
        for buffer in &plan.results {
            memory.read(*buffer, image).map_err(|why| format!("a result: {why}"))?;
        }
    }
    Ok(())
}

fn walk(plan: &Plan, segment: &Segment, together: usize, memory: &mut Memory<'_>) -> Result<(), String> {
    for group in groups(memory.images, together) {
        for step in &segment.steps {
            for image in group.clone() {
                take(plan, step, image, memory).map_err(|why| {
                    let node = &plan.nodes[step.node];
                    format!("{:?} of node {} ({:?}): {why}", step.action, step.node, kind(&node.kind))
                })?;
            }
        }
    }
    Ok(())
}

fn take(plan: &Plan, step: &Step, image: usize, memory: &mut Memory<'_>) -> Result<(), String> {
    for buffer in &step.reads {
        memory.read(*buffer, image)?;
    }
    let adds: Vec<bool> = match &step.action {
        Action::NormBackward { accumulate } => vec![*accumulate],
        Action::Backward { accumulate, .. } => {
            let inputs = plan.nodes[step.node].inputs.iter().zip(accumulate);
            inputs.filter(|(x, _)| plan.own_gradient(**x).is_some()).map(|(_, adds)| *adds).collect()
        }
        Action::Forward | Action::Moments | Action::Normalize | Action::LossGradient | Action::Sums => Vec::new(),
    };
    for (k, buffer) in step.writes.iter().enumerate() {
        if adds.get(k).is_some_and(|adds| *adds) {
            memory.read(*buffer, image)?;
        }
        memory.write(buffer.index(), image);
    }
    Ok(())
}

/// An operation's name alone.
fn kind(kind: &Kind) -> String {
    let text = format!("{kind:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::fuse::{Choice, Fusion};
    use super::super::params::ParamLayout;
    use super::super::plan::{Setting, Statistics, Wrt};
    use super::*;
    use crate::arch::families::preact::PreAct;
    use crate::arch::op::Shape;

    fn plan() -> Plan {
        let net = PreAct::basic(4, [(2, 4), (2, 8)]).lower(Shape::new(8, 8, 3), 4).unwrap();
        let setting = Setting { statistics: Statistics::Batch, choice: Choice::default() };
        let wrt = Wrt { input: true, params: true, mix: false };
        Plan::compile(&net, &ParamLayout::new(&net), wrt, setting, Fusion::NONE).unwrap()
    }

    /// As the backend takes it that joins images least and most.
    fn whole(plan: &Plan) -> Result<(), String> {
        let segments = plan.forward.len() + plan.backward.len();
        [1, 3].into_iter().try_for_each(|together| verify(plan, &vec![together; segments]))
    }

    #[test]
    fn a_plan_that_reuses_a_living_buffer_is_refused() {
        let sound = plan();
        whole(&sound).unwrap();
        // Any two buffers at one place: most are needed at the same time.
        let (mut refused, mut tried) = (0, 0);
        for (a, b) in (0..sound.places.len()).flat_map(|a| (0..a).map(move |b| (a, b))) {
            if sound.places[a].len == sound.places[b].len && sound.places[a] != sound.places[b] {
                let mut plan = sound.clone();
                plan.places[a] = plan.places[b];
                tried += 1;
                refused += usize::from(whole(&plan).is_err());
            }
        }
        assert!(tried > 100 && 2 * refused > tried, "{refused} of {tried}");
    }

    #[test]
    fn a_missing_step_is_seen() {
        let sound = plan();
        for segment in 0..sound.forward.len() {
            for step in 0..sound.forward[segment].steps.len() {
                let mut plan = sound.clone();
                plan.forward[segment].steps.remove(step);
                let in_place = sound.forward[segment].steps[step].action == Action::Normalize;
                // A value that is normalised in its place is there without the step.
                assert!(whole(&plan).is_err() || in_place, "{segment}.{step}");
            }
        }
    }
}
