//! Kernels by NVRTC, once a process for every file, family of shapes and kind of card.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::CudaFunction;
use candle_core::cuda_backend::cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};
use candle_core::{CudaDevice, Error, Result};

use super::call::{File, Kernel, Macros};

type Unit = (&'static str, Macros, (i32, i32));

/// What was compiled, as PTX.
static COMPILED: LazyLock<Mutex<HashMap<Unit, String>>> = LazyLock::new(Mutex::default);

/// A kernel, loaded on a device.
///
/// # Errors
/// [`Error::Msg`] with the compiler's text; a driver's error where it refuses the module.
pub fn load(device: &CudaDevice, kernel: &Kernel) -> Result<CudaFunction> {
    let stream = device.cuda_stream();
    let capability = stream.context().compute_capability().w()?;
    let ptx = compiled(kernel.file, kernel.macros, capability)?;
    // The device keeps modules by name.
    let module = format!("robustnas/{} {:?}", kernel.file.name, kernel.macros);
    Ok(device.get_or_load_custom_func(kernel.name, &module, &ptx)?.into_cuda_function())
}

fn compiled(file: File, macros: Macros, capability: (i32, i32)) -> Result<String> {
    let mut all = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let unit = (file.name, macros, capability);
    if let Some(ptx) = all.get(&unit) {
        return Ok(ptx.clone());
    }
    let mut options = vec![format!("--gpu-architecture=compute_{}{}", capability.0, capability.1)];
    let set = macros.iter().filter(|(name, _)| !name.is_empty());
    options.extend(set.map(|(name, value)| format!("--define-macro={name}={value}")));
    let options = CompileOptions { name: Some(file.name.to_owned()), options, ..CompileOptions::default() };
    let ptx = compile_ptx_with_opts(file.text, options).map_err(|why| match why {
        CompileError::CompileError { log, .. } => {
            Error::Msg(format!("{} {macros:?}: {}", file.name, log.to_string_lossy()))
        }
        why => Error::Msg(format!("{}: {why:?}", file.name)),
    })?;
    Ok(all.entry(unit).or_insert(ptx.to_src()).clone())
}
