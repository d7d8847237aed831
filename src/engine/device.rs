//! Which backend runs on which device.

use candle_core::Device;

use super::backend::Backend;
use super::cpu::Cpu;
#[cfg(feature = "cuda")]
use super::cuda::Cuda;
use crate::error::{Error, Result};

/// The backend of a device.
///
/// # Errors
/// [`Error::Tensor`] for a device that this build has no kernels for.
pub fn backend_of(device: &Device) -> Result<Box<dyn Backend>> {
    match device {
        Device::Cpu => Ok(Box::new(Cpu::widest())),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => Ok(Box::new(Cuda::on(device))),
        #[cfg(not(feature = "cuda"))]
        Device::Cuda(_) => Err(no_kernels(device)),
        Device::Metal(_) => Err(no_kernels(device)),
    }
}

fn no_kernels(device: &Device) -> Error {
    Error::Tensor(format!("no kernels for {device:?} in this build; use the CPU"))
}
