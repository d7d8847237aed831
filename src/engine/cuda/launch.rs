//! Plays tapes on a device's stream. The one place that hands addresses to the driver.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::{CudaDevice, DType, Device, Error, Result, Tensor};

use super::call::{Grid, Macros};
use super::compile;
use super::kernels::convolution::Convolution;
use super::kernels::depthwise::Depthwise;
use super::kernels::norm::Norm;
use super::kernels::parts::{Columns, Parts};
use super::kernels::planes::{Channels, Shift};
use super::kernels::pointwise::{Apply, Carry, Fill};
use super::kernels::pool::Pool;
use super::kernels::sum::Sum;
use super::tape::{Arguments, Launch, Tape};

/// Structures of numbers and addresses, laid out as C lays them out.
macro_rules! device_structures {
    ($($name:ty),+) => {$(
        // SAFETY: `repr(C)`, made of numbers and addresses alone; the kernels' files have it field by field.
        unsafe impl DeviceRepr for $name {}
    )+};
}
device_structures!(Apply, Carry, Fill, Channels, Shift, Sum, Parts, Columns, Norm, Pool, Convolution, Depthwise);

/// Kernels, loaded on a device.
#[derive(Debug)]
pub struct Kernels {
    device: CudaDevice,
    functions: HashMap<(&'static str, &'static str, Macros), CudaFunction>,
}

impl Kernels {
    /// Those that some tapes launch.
    ///
    /// # Errors
    /// Where one does not compile, or the device refuses it.
    pub fn load<'t>(device: &CudaDevice, tapes: impl IntoIterator<Item = &'t Tape>) -> Result<Kernels> {
        let mut functions = HashMap::new();
        for launch in tapes.into_iter().flat_map(|tape| &tape.launches) {
            if let Entry::Vacant(free) = functions.entry(launch.kernel.key()) {
                free.insert(compile::load(device, &launch.kernel)?);
            }
        }
        Ok(Kernels { device: device.clone(), functions })
    }

    /// Queues all launches of a tape; nothing is waited for.
    ///
    /// # Errors
    /// What the driver says of a launch, or of work that was queued before.
    pub fn play(&self, tape: &Tape) -> Result<()> {
        let stream = self.device.cuda_stream();
        for Launch { kernel, grid, arguments } in &tape.launches {
            let Some(function) = self.functions.get(&kernel.key()) else {
                return Err(Error::Msg(format!("{} of {} was not loaded", kernel.name, kernel.file.name)));
            };
            let mut launch = stream.launch_builder(function);
            match arguments {
                Arguments::Apply(a) => launch.arg(a),
                Arguments::Carry(a) => launch.arg(a),
                Arguments::Fill(a) => launch.arg(a),
                Arguments::Channels(a) => launch.arg(a),
                Arguments::Shift(a) => launch.arg(a),
                Arguments::Parts(a) => launch.arg(a),
                Arguments::Columns(a) => launch.arg(a),
                Arguments::Norm(a) => launch.arg(a),
                Arguments::Pool(a) => launch.arg(a),
                Arguments::Convolution(a) => launch.arg(a),
                Arguments::Depthwise(a) => launch.arg(a),
                Arguments::Sum(a) => launch.arg(&**a),
            };
            // SAFETY: the kernel takes this structure, and its addresses are places of the arena, the state and the batch that
            // the caller holds; all work is queued on one stream.
            unsafe { launch.launch(config(grid)?) }.w()?;
        }
        Ok(())
    }
}

fn config(grid: &Grid) -> Result<LaunchConfig> {
    let count = |v: usize| u32::try_from(v).map_err(|_| Error::Msg(format!("a grid of {grid:?} is too large")));
    let [x, y, z] = grid.blocks;
    Ok(LaunchConfig {
        grid_dim: (count(x)?, count(y)?, count(z)?),
        block_dim: (count(grid.threads[0])?, count(grid.threads[1])?, 1),
        shared_mem_bytes: 0,
    })
}

/// Memory that nobody has written yet.
///
/// # Errors
/// Where the device has no such memory.
pub fn unwritten(device: &CudaDevice, len: usize, dtype: DType) -> Result<Tensor> {
    // SAFETY: a plan reads nothing that it has not written; `verify` and the tests hold it to that.
    unsafe { Tensor::empty(len, dtype, &Device::Cuda(device.clone())) }
}
