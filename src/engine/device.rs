//! Which backend runs on which device.

use candle_core::Device;

use super::backend::Backend;
use super::cpu::Cpu;
use crate::error::{Error, Result};

/// The backend of a device.
///
/// # Errors
/// [`Error::Tensor`] for a device that this build has no kernels for.
pub fn backend_of(device: &Device) -> Result<Box<dyn Backend>> {
    match device {
        Device::Cpu => Ok(Box::new(Cpu::widest())),
        Device::Cuda(_) | Device::Metal(_) => {
            Err(Error::Tensor(format!("no kernels for {device:?} in this build; use the CPU")))
        }
    }
}
