//! Weights of another program, under its names and in its layouts, for a network of this crate.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::layout::{Layout, Turn};
use super::names::NameMap;
use super::weights;
use crate::arch::op::Op;
use crate::engine::{Network, ParamTensor};
use crate::error::{Error, Result, nearest};

/// Sets a network's weights from a safetensors file.
///
/// # Errors
/// [`Error::Data`] with all mismatches at once: tensors of the network without a name, names that the file does not
/// have, shapes that differ, and tensors of the file that are not used.
pub fn import(network: &mut Network, file: &Path, map: &NameMap) -> Result<()> {
    let theirs: HashMap<String, Tensor> = candle_core::safetensors::load(file, &Device::Cpu)
        .map_err(|why| Error::data(file, format!("no safetensors: {why}")))?;
    let (mut taken, mut faults) = (BTreeSet::new(), Vec::new());
    let mut values = HashMap::new();
    let own: Vec<(ParamTensor, Result<Option<String>, String>)> =
        network.layout().tensors().iter().map(|tensor| (tensor.clone(), map.theirs(&tensor.name))).collect();
    let wanted: BTreeSet<&str> = own.iter().filter_map(|(_, name)| name.as_ref().ok()?.as_deref()).collect();
    let free = || theirs.keys().map(String::as_str).filter(|name| !wanted.contains(name));
    for (tensor, name) in &own {
        let name = match name {
            Ok(Some(name)) => name,
            Ok(None) => {
                faults.push(format!("`{}` {:?}: the map has no name for it", tensor.name, tensor.shape));
                continue;
            }
            Err(why) => {
                faults.push(why.clone());
                continue;
            }
        };
        let Some(found) = theirs.get(name) else {
            let near = nearest(name, free());
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            faults.push(format!("`{}` = `{name}`: the file has no such tensor{hint}", tensor.name));
            continue;
        };
        let (spatial, turn) = (spatial(network, tensor), Turn::of(network.net(), &tensor.name));
        match turned(found, &tensor.shape, (map.layout, turn), spatial)? {
            Some(found) => values.insert(tensor.name.clone(), found),
            None => {
                let (own, their) = (&tensor.shape, found.dims());
                faults.push(format!("`{}` = `{name}`: {their:?} does not fit {own:?}", tensor.name));
                None
            }
        };
        if !taken.insert(name.clone()) {
            faults.push(format!("`{name}` is taken twice, the second time by `{}`", tensor.name));
        }
    }
    let mut left: Vec<&String> = theirs.keys().filter(|name| !taken.contains(*name) && !map.ignores(name)).collect();
    left.sort_unstable();
    faults.extend(left.into_iter().map(|name| {
        format!(
            "`{name}` {:?} of the file is taken by none; name it under `ignore` if that is right",
            theirs[name].dims()
        )
    }));
    if !faults.is_empty() {
        return Err(Error::data(file, format!("{} tensors do not fit:\n  {}", faults.len(), faults.join("\n  "))));
    }
    weights::set(network, &values).map_err(|why| why.of_file(file))
}

/// Whether a tensor has one value per pixel and channel, such as a position embedding.
fn spatial(network: &Network, tensor: &ParamTensor) -> bool {
    let node = tensor.name.rsplit_once('.').and_then(|(node, _)| network.net().find(node));
    node.is_some_and(|id| matches!(network.net().node(id).op, Op::Position))
}

/// Another program's tensor in the engine's layout, if its shape fits.
fn turned(theirs: &Tensor, own: &[usize], (layout, turn): (Layout, Turn), spatial: bool) -> Result<Option<Vec<f32>>> {
    let sides = |dims: &[usize]| dims.iter().copied().filter(|d| *d != 1).collect::<Vec<_>>();
    let (dims, len) = (theirs.dims(), own.iter().product::<usize>());
    let fits = match (layout, own) {
        _ if theirs.elem_count() != len => None,
        (Layout::Own, _) => (dims == own).then(|| theirs.clone()),
        // Tokens of a position embedding are in the engine's order, `[1, pixels, channels]`; planes are not.
        (_, &[h, w, c]) if spatial => match dims {
            [1, n, d] if [*n, *d] == [h * w, c] => Some(theirs.clone()),
            _ if dims == own => Some(theirs.clone()),
            [1, d, rows, columns] if [*d, *rows, *columns] == [c, h, w] => Some(theirs.permute([0, 2, 3, 1])?),
            _ => None,
        },
        // A 1x1 convolution may be stored as a matrix.
        (_, &[kh, kw, fan, out]) if dims == [out, fan, kh, kw] || kh * kw == 1 && dims == [out, fan] => {
            Some(theirs.reshape((out, fan, kh, kw))?.permute([2, 3, 1, 0])?)
        }
        (_, &[fan, out]) if turn == Turn::Matrix && (dims == [out, fan] || dims == [out, fan, 1, 1]) => {
            Some(theirs.reshape((out, fan))?.t()?)
        }
        _ if turn != Turn::Same => None,
        // One value per channel, with or without dimensions of one.
        _ => (sides(dims) == sides(own)).then(|| theirs.clone()),
    };
    let Some(fits) = fits else { return Ok(None) };
    Ok(Some(fits.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?))
}
