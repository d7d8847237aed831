//! A network that can be run: the graph, its numbers, and the plans compiled for what was asked of it so far.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::answer::{Gradients, Logits, LossGradient};
use super::backend::{Arena, Backend, Pass, Program};
use super::device::backend_of;
use super::fuse::Fusion;
use super::layout::ArenaLayout;
use super::memory::{Memory, Work, ensure};
use super::mode::{Direction, Mode, NormMode};
use super::params::ParamLayout;
use super::plan::{Plan, Setting, Wrt};
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::error::{Error, Result};
use crate::seed::Seed;

/// A runnable network.
pub struct Network {
    net: Net,
    layout: ParamLayout,
    state: Tensor,
    fusion: Fusion,
    backend: Arc<dyn Backend>,
    programs: HashMap<(Wrt, Setting), Box<dyn Program>>,
    arena: Option<Arena>,
}

impl Network {
    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Network::with`].
    pub fn new(net: Net, seed: Seed, device: &Device) -> Result<Self> {
        Network::with(net, seed, device, DType::F32, Fusion::ALL)
    }

    /// A network with fresh weights in a given precision (`f32` or `f64`) and with chosen rewrites.
    ///
    /// # Errors
    /// [`Error::Net`] where [`Net::validate`] refuses the network; [`Error::Impossible`] where there is no memory for its
    /// weights; [`Error::Tensor`] for a device without a backend.
    pub fn with(net: Net, seed: Seed, device: &Device, dtype: DType, fusion: Fusion) -> Result<Self> {
        net.validate()?;
        let layout = ParamLayout::new(&net);
        // As drawn, and as they are kept.
        ensure(layout.len(), size_of::<f64>() + dtype.size_in_bytes(), "the network's weights")?;
        let values: Vec<f64> = layout.init(&net, seed);
        let state = Tensor::from_vec(values, layout.len(), device)?.to_dtype(dtype)?;
        Ok(Network {
            net,
            layout,
            state,
            fusion,
            backend: backend_of(device)?.into(),
            programs: HashMap::new(),
            arena: None,
        })
    }

    /// A view of this network, for [`Network::through`]: the same numbers in another graph.
    ///
    /// # Errors
    /// [`Error::Net`] where [`Net::validate`] refuses the graph, or where its parameters are others.
    pub fn view(&self, net: Net) -> Result<Self> {
        net.validate()?;
        let layout = ParamLayout::new(&net);
        self.fits(&layout)?;
        let (state, backend) = (self.state.clone(), Arc::clone(&self.backend));
        Ok(Network { net, layout, state, fusion: self.fusion, backend, programs: HashMap::new(), arena: None })
    }

    fn fits(&self, view: &ParamLayout) -> Result<()> {
        match view.tensors() == self.layout.tensors() {
            true => Ok(()),
            false => Err(Error::Net("a view of a network must have its parameters, in the same places".into())),
        }
    }

    /// The same network run by another backend of the same device.
    pub fn run_by(self, backend: impl Backend + 'static) -> Self {
        Network { backend: Arc::new(backend), programs: HashMap::new(), arena: None, ..self }
    }

    /// Takes over the working memory of a network that is done, so that networks one after another need not fetch it from the
    /// system each for itself. Without influence on any result.
    #[must_use]
    pub fn in_place_of(self, done: Network) -> Self {
        Network { arena: done.arena, ..self }
    }

    /// The graph.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Where every number lives in the state vector.
    pub fn layout(&self) -> &ParamLayout {
        &self.layout
    }

    /// The state: trainable weights, then running statistics, `[layout.len()]`. A handle on the network's own memory:
    /// in-place operations on it change the network.
    pub fn state(&self) -> &Tensor {
        &self.state
    }

    /// The trainable weights, `[trainable]`; a view like [`Network::state`].
    ///
    /// # Errors
    /// [`Error::Tensor`] where the device refuses.
    pub fn weights(&self) -> Result<Tensor> {
        Ok(self.state.narrow(0, 0, self.layout.trainable())?)
    }

    /// Replaces weights and running statistics.
    ///
    /// # Errors
    /// [`Error::Net`] for another length or precision.
    pub fn set_state(&mut self, values: &Tensor) -> Result<()> {
        if values.dims() != self.state.dims() || values.dtype() != self.state.dtype() {
            return Err(Error::Net(format!(
                "the network holds {:?} {:?} numbers, got {:?} {:?}",
                self.state.dims(),
                self.state.dtype(),
                values.dims(),
                values.dtype()
            )));
        }
        self.state = values.force_contiguous()?;
        Ok(())
    }

    /// Replaces the trainable weights.
    ///
    /// # Errors
    /// [`Error::Tensor`] for another precision or number of axes, [`Error::Net`] for another length.
    pub fn set_weights(&mut self, values: &Tensor) -> Result<()> {
        let tail = self.layout.len() - self.layout.trainable();
        let running = self.state.narrow(0, self.layout.trainable(), tail)?;
        let state = Tensor::cat(&[values, &running], 0)?;
        self.set_state(&state)
    }

    /// Does something with other trainable weights. Whatever comes of it, the network's own are then put back to the bit;
    /// running statistics that were recorded meanwhile stay.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Net`] for another number of weights.
    pub fn with_weights<T>(&mut self, values: &Tensor, work: impl FnOnce(&mut Network) -> Result<T>) -> Result<T> {
        let own = self.weights()?.force_contiguous()?;
        self.set_weights(values)?;
        let found = work(self);
        self.set_weights(&own)?;
        found
    }

    /// Does something with a view of this network: a network of another graph whose parameters have the same places. While
    /// it works, the view has this network's numbers and its memory: statistics that it records are recorded here.
    /// Replacing the view's numbers as a whole does not change this network's.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Net`] for a network whose parameters are others.
    pub fn through<T>(&mut self, view: &mut Network, work: impl FnOnce(&mut Network) -> Result<T>) -> Result<T> {
        self.fits(&view.layout)?;
        view.state = self.state.clone();
        view.arena = self.arena.take();
        let found = work(view);
        self.arena = view.arena.take();
        found
    }

    /// What work on this network holds in memory.
    ///
    /// # Errors
    /// [`Error::Internal`] as [`Plan::compile`].
    pub fn memory(&self, work: &Work) -> Result<Memory> {
        Memory::of(&self.net, work, self.fusion, &*self.backend)
    }

    /// The program for what is wanted, made when it is asked for first.
    fn program(&mut self, wrt: Wrt, setting: Setting) -> Result<&dyn Program> {
        Ok(&**match self.programs.entry((wrt, setting)) {
            Entry::Occupied(program) => program.into_mut(),
            Entry::Vacant(free) => {
                let plan = Plan::compile(&self.net, &self.layout, wrt, setting, self.fusion)?;
                free.insert(self.backend.prepare(plan, self.state.dtype())?)
            }
        })
    }

    /// The logits of a batch `[n, h, w, c]`.
    ///
    /// # Errors
    /// [`Error::Net`] where the batch or the mixing vector has the wrong shape.
    pub fn logits(&mut self, x: &Tensor, mix: &[f64], mode: impl Into<Mode>) -> Result<Logits> {
        let mode = mode.into();
        let layout = self.forward(x, mix, mode, Wrt::NOTHING)?;
        self.read_logits(Wrt::NOTHING, mode, layout)
    }

    /// Forward and backward of a batch `[n, h, w, c]`: `loss` maps logits to its value and gradient.
    ///
    /// # Errors
    /// [`Error::Net`] for wrong shapes; [`Error::NotFinite`] where the loss is not a number.
    pub fn gradients(
        &mut self,
        x: &Tensor,
        mix: &[f64],
        mode: impl Into<Mode>,
        wrt: Wrt,
        loss: &dyn Fn(&Logits) -> LossGradient,
    ) -> Result<Gradients> {
        let mode = mode.into();
        let layout = self.forward(x, mix, mode, wrt)?;
        let logits = self.read_logits(wrt, mode, layout)?;
        let LossGradient { value, dlogits } = loss(&logits);
        if !value.is_finite() {
            return Err(Error::NotFinite(format!("the loss is {value}")));
        }
        let dlogits =
            Tensor::from_vec(dlogits, logits.values.len(), self.state.device())?.to_dtype(self.state.dtype())?;
        let arena = self.arena(layout.scalars())?;
        let program = &self.programs[&(wrt, mode.setting())];
        let pass = Pass { direction: Direction::Backward, layout, mix, drop: mode.drop };
        program.run(&pass, &arena.memory, &self.state, &dlogits)?;
        let plan = program.plan();
        let (weights, mixing) = (plan.weights_len(), plan.mixing_len());
        let gathered = if weights + mixing > 0 { Some(program.gathered(layout, &arena.memory)?) } else { None };
        let part = |from: usize, len: usize| gathered.as_ref().map(|g| g.narrow(0, from, len)).transpose();
        let params = if wrt.params { part(0, weights)? } else { None };
        let mix = match part(weights, mixing)? {
            Some(found) if wrt.mix => {
                // Nothing cannot be converted on every device.
                let mut found = if mixing > 0 { found.to_dtype(DType::F64)?.to_vec1()? } else { Vec::new() };
                // Weights beyond the last one that the network uses have no influence.
                found.resize(mix.len(), 0.0);
                Some(found)
            }
            _ => None,
        };
        let input = match plan.own_gradient(0) {
            Some(place) if wrt.input => Some(program.buffers(layout, &arena.memory, place)?.reshape(x.dims())?),
            _ => None,
        };
        Ok(Gradients { logits, loss: value, input, params, mix })
    }

    fn forward(&mut self, x: &Tensor, mix: &[f64], mode: Mode, wrt: Wrt) -> Result<ArenaLayout> {
        let Shape { h, w, c } = self.net.input_shape();
        match x.dims() {
            [n, bh, bw, bc] if *n > 0 && [*bh, *bw, *bc] == [h, w, c] => {}
            dims => return Err(Error::Net(format!("the network takes [n, {h}, {w}, {c}], got {dims:?}"))),
        }
        if mix.len() < self.net.mix_len() {
            let want = self.net.mix_len();
            return Err(Error::Net(format!("the network takes {want} mixing weights, got {}", mix.len())));
        }
        let branches = self.net.branches();
        if mode.branch >= branches {
            return Err(Error::Net(format!("batch-norm branch {} of a network that has {branches}", mode.branch)));
        }
        let batch = x.dims()[0];
        let setting = mode.setting();
        let scalars = self.program(wrt, setting)?.layout(batch, 0).scalars();
        let Arena { memory: arena, start } = self.arena(scalars)?;
        // Kernels read memory from its beginning: a view that starts elsewhere is copied out.
        let whole = x.is_contiguous() && x.layout().start_offset() == 0;
        let x = if whole { x.flatten_all()? } else { x.force_contiguous()?.flatten_all()? };
        let program = &self.programs[&(wrt, setting)];
        let layout = program.layout(batch, start);
        let pass = Pass { direction: Direction::Forward, layout, mix, drop: mode.drop };
        program.run(&pass, &arena, &self.state, &x)?;
        if mode.norm == NormMode::Train {
            program.record(layout, &arena, &self.state)?;
        }
        Ok(layout)
    }

    /// The arena, grown to at least `len` scalars. It is shared by all plans; a smaller one is dropped first.
    fn arena(&mut self, len: usize) -> Result<Arena> {
        match &self.arena {
            Some(arena) if arena.memory.elem_count() >= len => Ok(arena.clone()),
            _ => {
                self.arena = None;
                ensure(len, self.state.dtype().size_in_bytes(), "a pass of the network")?;
                let arena = self.backend.arena(len, self.state.dtype())?;
                self.arena = Some(arena.clone());
                Ok(arena)
            }
        }
    }

    fn read_logits(&self, wrt: Wrt, mode: Mode, layout: ArenaLayout) -> Result<Logits> {
        let program = &self.programs[&(wrt, mode.setting())];
        let plan = program.plan();
        let arena = self.arena.as_ref().ok_or_else(|| Error::Net("no forward pass was run".into()))?;
        let place = plan.value[plan.nodes.len() - 1];
        let values = program.buffers(layout, &arena.memory, place)?.to_dtype(DType::F64)?.to_vec1()?;
        Ok(Logits { values, classes: self.net.classes() })
    }
}
