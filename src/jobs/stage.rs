//! A stage of training: begun or taken up again, saved between two steps now and then, ended.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use super::interrupt::Interrupt;
use super::progress::{Observer, Progress};
use super::task::Task;
use crate::data::loader::Loader;
use crate::error::{Error, Result};
use crate::search::learner::Supernet;
use crate::search::shared::SinglePath;
use crate::store::checkpoint::{Checkpoints, Snapshot};
use crate::train::fit::{Learner, Position, State, fit};
use crate::train::trainee::Trainee;

/// A learner that may tell which stage of a search it is in.
pub trait Staged: Learner {
    /// The stage of a search that an epoch belongs to, if it is one.
    fn search_stage(&self, _epoch: u32) -> Option<u8> {
        None
    }
}

impl Staged for Trainee {}

impl Staged for SinglePath<'_> {}

impl Staged for Supernet<'_> {
    fn search_stage(&self, epoch: u32) -> Option<u8> {
        Some(self.stage(epoch))
    }
}

/// A state read back, with the file that it was read from.
struct Saved {
    path: PathBuf,
    position: Value,
    state: State,
}

impl Saved {
    /// Holds the tensors to those of the learner, by name and shape.
    fn check(&self, own: &State) -> Result<()> {
        let (saved, mut faults) = (&self.state.tensors, Vec::new());
        for (name, own) in &own.tensors {
            match saved.iter().find(|(saved, _)| saved == name) {
                None => faults.push(format!("the tensor `{name}` is missing")),
                Some((_, saved)) if saved.dims() != own.dims() => {
                    faults.push(format!("the tensor `{name}` is {:?}, expected {:?}", saved.dims(), own.dims()));
                }
                Some(_) => {}
            }
        }
        let surplus = saved.iter().filter(|(saved, _)| !own.tensors.iter().any(|(name, _)| name == saved));
        faults.extend(surplus.map(|(saved, _)| format!("the tensor `{saved}` is not known")));
        if faults.is_empty() { Ok(()) } else { Err(self.foreign(&faults.join(", "))) }
    }

    /// The step that comes next, within so many epochs of so many steps.
    fn next(&self, epochs: u32, steps: usize) -> Result<Position> {
        let next: Position =
            serde_json::from_value(self.position.clone()).map_err(|why| self.foreign(&format!("`position`: {why}")))?;
        let Position { epoch, step } = next;
        if epoch > epochs || step >= steps {
            return Err(self.foreign(&format!("step {step} of epoch {epoch} in {epochs} epochs of {steps} steps")));
        }
        Ok(next)
    }

    /// A checkpoint whose checksum is right and whose content is not.
    fn foreign(&self, what: &str) -> Error {
        let advice = "use the version that began the run, or remove the checkpoints to begin the stage anew";
        Error::run(&self.path, format!("is no checkpoint of this stage: {what}; {advice}"))
    }
}

/// Saves a stage's state now and then.
pub struct Saver {
    checkpoints: Checkpoints,
    every: Duration,
    last: Instant,
}

impl Saver {
    /// Saves into a run's checkpoints.
    pub fn new(checkpoints: Checkpoints, every: Duration) -> Self {
        Saver { checkpoints, every, last: Instant::now() }
    }

    /// One that saves as often elsewhere.
    pub fn of(&self, checkpoints: Checkpoints) -> Self {
        Saver::new(checkpoints, self.every)
    }

    /// Whether the last checkpoint is old enough for another.
    fn is_due(&self) -> bool {
        self.last.elapsed() >= self.every
    }

    /// Saves a task's state and the step that comes next.
    fn save(&mut self, task: &Task, next: Position, state: State) -> Result<()> {
        let meta = json!({"of": task, "position": next, "learned": state.values});
        let tensors = state
            .tensors
            .into_iter()
            .map(|(name, tensor)| Ok((name, tensor.dims().to_vec(), tensor.flatten_all()?.to_vec1()?)))
            .collect::<Result<Vec<_>>>()?;
        self.checkpoints.save(&Snapshot { meta, tensors })?;
        self.last = Instant::now();
        Ok(())
    }

    /// Saves the state of a task that is over, so that it is found again without a step.
    ///
    /// # Errors
    /// [`Error::Io`] where a checkpoint cannot be written.
    pub fn keep(&mut self, task: &Task, epochs: u32, learner: &impl Learner) -> Result<()> {
        self.save(task, Position { epoch: epochs, step: 0 }, learner.state()?)
    }

    /// The last state, if the newest checkpoint is of this very task; a damaged newer one is reported.
    fn load(&mut self, task: &Task, observer: &mut dyn Observer) -> Result<Option<Saved>> {
        let Some(loaded) = self.checkpoints.load()? else { return Ok(None) };
        if let Some(warning) = loaded.warning {
            observer.on(Progress::Warning(warning));
        }
        let Snapshot { mut meta, tensors } = loaded.snapshot;
        if meta["of"] != json!(task) {
            return Ok(None);
        }
        // Versions before this one kept a search's values under their own name, and a training's nowhere.
        let values = ["learned", "search"].into_iter().find(|key| !meta[key].is_null());
        let values = values.map_or(Value::Null, |key| meta[key].take());
        let tensors = tensors
            .into_iter()
            .map(|(name, shape, values)| Ok((name, Tensor::from_vec(values, shape, &Device::Cpu)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Some(Saved { path: loaded.path, position: meta["position"].take(), state: State { values, tensors } }))
    }

    /// Removes the checkpoints of a finished run.
    ///
    /// # Errors
    /// [`Error::Io`] where a checkpoint cannot be removed.
    pub fn clear(&mut self) -> Result<()> {
        self.checkpoints.clear()
    }
}

/// A training to its end, or to the next interruption.
pub struct Stage<'a> {
    /// What it is for.
    pub task: Task,
    /// The images.
    pub loader: &'a Loader<'a>,
    /// Passes over them.
    pub epochs: u32,
    /// Where its state is kept; none where an interrupted stage is begun anew.
    pub saver: Option<&'a mut Saver>,
    /// Whether to stop.
    pub interrupt: &'a Interrupt,
    /// Who looks on.
    pub observer: &'a mut dyn Observer,
}

impl Stage<'_> {
    /// Trains a fresh learner, or one as it was saved. `epoch_done` is called behind the last step of every epoch with
    /// the number of epochs that are over.
    ///
    /// # Errors
    /// [`Error::Stopped`] after a signal, with everything saved; [`Error::Run`] for a checkpoint that is not of this
    /// learner; those of the learner and of `epoch_done`.
    pub fn run<L: Staged>(
        self,
        learner: &mut L,
        epoch_done: &mut dyn FnMut(&mut L, u32, &mut dyn Observer) -> Result<()>,
    ) -> Result<()> {
        let Stage { task, loader, epochs, mut saver, interrupt, observer } = self;
        let steps = loader.steps();
        let mut from = Position::default();
        if let Some(saver) = &mut saver
            && let Some(saved) = saver.load(&task, observer)?
        {
            saved.check(&learner.state()?)?;
            from = saved.next(epochs, steps)?;
            let Saved { path, position, state } = saved;
            learner.restore(state).map_err(|why| match why {
                Error::Net(what) => Saved { path, position, state: State::default() }.foreign(&what),
                other => other,
            })?;
        }
        let count = |epoch: u32, step: usize| u64::from(epoch) * steps as u64 + step as u64;
        let (done, all) = (count(from.epoch, from.step), count(epochs, 0));
        observer.on(Progress::TaskStarted { task: task.clone(), done, steps: all });
        let mut at = from;
        let trained = fit(learner, loader, epochs, from, &mut |learner: &mut L, next, loss| {
            at = next;
            observer.on(Progress::Step { next, stage: learner.search_stage(next.epoch), loss });
            if next.step == 0 {
                epoch_done(learner, next.epoch, observer)?;
            }
            // Asked once: a signal that comes while this is decided waits for the next step, which saves first.
            let go_on = interrupt.check();
            if let Some(saver) = &mut saver
                && (go_on.is_err() || saver.is_due())
            {
                saver.save(&task, next, learner.state()?)?;
            }
            go_on
        });
        observer.on(Progress::TaskDone { task });
        trained.map_err(|why| match (why, learner.search_stage(at.epoch)) {
            (Error::NotFinite(reason), Some(stage)) => {
                let (epoch, step) = (at.epoch + 1, at.step + 1);
                Error::NotFinite(format!(
                    "stage {stage} of the search, epoch {epoch} of {epochs}, step {step}: {reason}"
                ))
            }
            (other, _) => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::op::Shape;
    use crate::data::Images;
    use crate::data::loader::Batch;
    use crate::recipe::Time;
    use crate::seed::Seed;

    /// Adds one to its numbers a step; a step of number `stop` fails.
    struct Counting {
        one: Tensor,
        two: Tensor,
        stop: f32,
    }

    impl Learner for Counting {
        fn step(&mut self, _: &Batch, _: Time) -> Result<f64> {
            self.one = (&self.one + 1.0)?;
            let count: Vec<f32> = self.one.to_vec1()?;
            if count[0] == self.stop { Err(Error::Stopped { signal: "TEST" }) } else { Ok(f64::from(count[0])) }
        }

        fn state(&self) -> Result<State> {
            Ok(State::new(json!("kept"), vec![("one", self.one.clone()), ("two", self.two.clone())]))
        }

        fn restore(&mut self, mut state: State) -> Result<()> {
            assert_eq!(state.values, json!("kept"));
            (self.two, self.one) = (state.take("two", 3)?, state.take("one", 2)?);
            Ok(())
        }
    }

    impl Staged for Counting {}

    fn fresh(stop: f32) -> Counting {
        let zeros = |n| Tensor::from_vec(vec![0f32; n], n, &Device::Cpu).unwrap();
        Counting { one: zeros(2), two: zeros(3), stop }
    }

    /// Two epochs of three steps, saved after every one.
    fn train(folder: &std::path::Path, learner: &mut Counting) -> (Result<()>, Vec<Progress>) {
        let images = Images { pixels: vec![0; 3], labels: vec![0; 3] };
        let loader = Loader::new(&images, Shape::new(1, 1, 1), &[0, 1, 2], 1, Seed::root(0), &Device::Cpu);
        let mut saver = Saver::new(Checkpoints::open(folder).unwrap(), Duration::ZERO);
        let (mut seen, interrupt) = (Vec::new(), Interrupt::never());
        let stage = Stage {
            task: Task::Search,
            loader: &loader,
            epochs: 2,
            saver: Some(&mut saver),
            interrupt: &interrupt,
            observer: &mut seen,
        };
        let trained = stage.run(learner, &mut |_, epochs, observer| {
            observer.on(Progress::Note(format!("{epochs} epochs")));
            Ok(())
        });
        (trained, seen)
    }

    fn step(epoch: u32, step: usize, loss: f64) -> Progress {
        Progress::Step { next: Position { epoch, step }, stage: None, loss }
    }

    #[test]
    fn a_stage_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let (begun, ended) = (
            |done| Progress::TaskStarted { task: Task::Search, done, steps: 6 },
            || Progress::TaskDone { task: Task::Search },
        );
        let (stopped, seen) = train(folder.path(), &mut fresh(5.0));
        assert!(matches!(stopped, Err(Error::Stopped { .. })));
        let note = |n: u32| Progress::Note(format!("{n} epochs"));
        let before = [step(0, 1, 1.0), step(0, 2, 2.0), step(1, 0, 3.0), note(1), step(1, 1, 4.0)];
        assert_eq!(seen, [&[begun(0)], &before[..], &[ended()]].concat());
        let mut learner = fresh(9.0);
        let (whole, seen) = train(folder.path(), &mut learner);
        whole.unwrap();
        assert_eq!(seen, [begun(4), step(1, 2, 5.0), step(2, 0, 6.0), note(2), ended()]);
        assert_eq!(learner.one.to_vec1::<f32>().unwrap(), [6.0; 2]);
    }

    /// Whatever is not the learner's own is refused with the file and the name, not taken for another by its place.
    #[test]
    fn tensors_of_other_names_or_shapes_are_refused() {
        type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;
        type Change<'a> = (&'a dyn Fn(&mut Tensors), &'a str);
        let changes: [Change<'_>; 5] = [
            (&|t| t[1].0 = "tow".into(), "the tensor `two` is missing, the tensor `tow` is not known"),
            (&|t| drop(t.pop()), "the tensor `two` is missing"),
            (&|t| t.push(("three".into(), vec![1], vec![0.0])), "the tensor `three` is not known"),
            (&|t| t[1].1 = vec![3, 1], "the tensor `two` is [3, 1], expected [3]"),
            (&|t| (t[0].0, t[1].0) = ("two".into(), "one".into()), "the tensor `one` is [3], expected [2]"),
        ];
        for (change, words) in changes {
            let folder = tempfile::tempdir().unwrap();
            train(folder.path(), &mut fresh(5.0)).0.unwrap_err();
            let mut checkpoints = Checkpoints::open(folder.path()).unwrap();
            let mut snapshot = checkpoints.load().unwrap().unwrap().snapshot;
            change(&mut snapshot.tensors);
            let number = checkpoints.save(&snapshot).unwrap();
            let error = train(folder.path(), &mut fresh(9.0)).0.unwrap_err();
            assert!(matches!(error, Error::Run { .. }), "{error}");
            let said = error.to_string();
            assert!(said.contains(words) && said.contains(&format!("state-{number}.safetensors")), "{said}");
        }
    }

    #[test]
    fn tensors_are_found_by_name_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), &mut fresh(5.0)).0.unwrap_err();
        let mut checkpoints = Checkpoints::open(folder.path()).unwrap();
        let mut snapshot = checkpoints.load().unwrap().unwrap().snapshot;
        snapshot.tensors.reverse();
        checkpoints.save(&snapshot).unwrap();
        let mut learner = fresh(9.0);
        train(folder.path(), &mut learner).0.unwrap();
        assert_eq!(learner.one.to_vec1::<f32>().unwrap(), [6.0; 2]);
    }

    #[test]
    fn a_position_beyond_the_stage_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), &mut fresh(5.0)).0.unwrap_err();
        let mut checkpoints = Checkpoints::open(folder.path()).unwrap();
        let mut snapshot = checkpoints.load().unwrap().unwrap().snapshot;
        snapshot.meta["position"]["step"] = 3.into();
        checkpoints.save(&snapshot).unwrap();
        let error = train(folder.path(), &mut fresh(9.0)).0.unwrap_err().to_string();
        assert!(error.contains("step 3 of epoch 1 in 2 epochs of 3 steps"), "{error}");
    }
}
