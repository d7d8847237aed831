//! Normalisations.

use super::graph::Attribute;
use super::view::{back, per_channel};
use super::writer::Writer;
use crate::arch::op::BATCH_NORM_EPSILON;

/// Batch-norm with running statistics.
pub fn batch(w: &mut Writer<'_, '_>, x: &str, affine: bool) -> Result<String, String> {
    let c = w.node.shape.c;
    let (weight, bias) = if affine {
        (w.tensor("weight", &[c])?, w.tensor("bias", &[c])?)
    } else {
        (w.floats("one", &[c], &vec![1.0; c]), w.floats("zero", &[c], &vec![0.0; c]))
    };
    let (mean, variance) = (w.tensor("running_mean", &[c])?, w.tensor("running_var", &[c])?);
    Ok(w.op(
        "BatchNormalization",
        &[x, &weight, &bias, &mean, &variance],
        &[Attribute::Float("epsilon", BATCH_NORM_EPSILON as f32)],
    ))
}

/// With the statistics and weights of the selected branch.
pub fn multi_batch(w: &mut Writer<'_, '_>, x: &str, branches: usize) -> Result<String, String> {
    let (c, branch) = (w.node.shape.c, w.export.branch);
    if branch >= branches {
        return Err(format!("has {branches} branches; there is no branch {branch}"));
    }
    let mut operands = vec![x.to_owned()];
    for suffix in ["weight", "bias"] {
        let all = w.values(suffix, branches * c)?;
        operands.push(w.floats(suffix, &[c], &all[branch * c..][..c]));
    }
    for suffix in ["running_mean", "running_var"] {
        operands.push(w.tensor(&format!("{branch}.{suffix}"), &[c])?);
    }
    let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
    Ok(w.op("BatchNormalization", &operands, &[Attribute::Float("epsilon", BATCH_NORM_EPSILON as f32)]))
}

/// Layer normalisation of every pixel over its channels.
pub fn layer(w: &mut Writer<'_, '_>, x: &str, flat: bool, epsilon: f32) -> Result<String, String> {
    let c = w.node.shape.c;
    let (weight, bias) = (w.tensor("weight", &[c])?, w.tensor("bias", &[c])?);
    let attributes = [Attribute::Int("axis", -1), Attribute::Float("epsilon", epsilon)];
    if flat {
        return Ok(w.op("LayerNormalization", &[x, &weight, &bias], &attributes));
    }
    let pixels = w.transpose(x, &[0, 2, 3, 1]);
    let normal = w.op("LayerNormalization", &[&pixels, &weight, &bias], &attributes);
    Ok(w.transpose(&normal, &[0, 3, 1, 2]))
}

/// Group normalisation: an instance normalisation of groups reshaped to channels.
pub fn group(w: &mut Writer<'_, '_>, x: &str, flat: bool, groups: usize, epsilon: f32) -> Result<String, String> {
    let shape = w.node.shape;
    let (weight, bias) = (w.values("weight", shape.c)?, w.values("bias", shape.c)?);
    let (weight, bias) = (per_channel(w, "weight", weight, flat), per_channel(w, "bias", bias, flat));
    let (one, zero) = (w.floats("one", &[groups], &vec![1.0; groups]), w.floats("zero", &[groups], &vec![0.0; groups]));
    let grouped = w.reshape(x, &[groups, shape.len() / groups]);
    let normal = w.op("InstanceNormalization", &[&grouped, &one, &zero], &[Attribute::Float("epsilon", epsilon)]);
    let normal = back(w, &normal, shape, flat);
    let scaled = w.op("Mul", &[&normal, &weight], &[]);
    Ok(w.op("Add", &[&scaled, &bias], &[]))
}
