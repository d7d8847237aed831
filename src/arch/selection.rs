//! Networks whose batch-norm is chosen by what they see (MultiBN, Lo and Patel 2020).
//!
//! [`with_module`] makes one of a network with `norm=multi-batch:N`: a small module looks at the image, and every
//! batch-norm becomes the sum of its `N` branches weighted by the module's softmax. It is made of plain operations, so that
//! it is run, drawn and exported like any other network. [`through`] and [`told`] are other graphs on the same
//! parameters, for training: their layers have the same names in the same order.

use std::collections::HashMap;

use super::net::{Net, NodeId};
use super::op::{Act, Op, Window};
use crate::error::{Error, Result};

/// What the module's nodes begin with.
const MODULE: &str = "selection";
/// Output channels of its convolutions, each of stride 2. The published module is a residual network with as many
/// layers as the paper's classifier for videos; for small images a hundredth of that tells the kinds apart.
const CHANNELS: [usize; 3] = [16, 32, 32];

/// The network with a selection module in place of its batch-norms with several branches. A network that has the module is
/// returned as it is.
///
/// # Errors
/// [`Error::Usage`] for a network that has fewer than `branches` batch-norms side by side.
pub fn with_module(net: &Net, branches: usize) -> Result<Net> {
    if kinds(net).is_some() {
        return Ok(net.clone());
    }
    if net.branches() != branches {
        let has = net.branches();
        return Err(Error::Usage(format!(
            "{branches} kinds of images need as many batch-norms side by side, and the network has {has}; build it with \
             norm=multi-batch:{branches}"
        )));
    }
    let mut selected = Net::new();
    let mut shares = HashMap::new();
    // The node that stands for each of the network's.
    let mut of: Vec<NodeId> = Vec::with_capacity(net.len());
    for (id, node) in net.nodes() {
        let inputs: Vec<NodeId> = net.inputs(id).into_iter().map(|x| of[x.index()]).collect();
        let Op::MultiBatchNorm { .. } = node.op else {
            let added = selected.add(node.name.clone(), node.op.clone(), &inputs)?;
            of.push(added);
            if id.index() == 0 {
                module(&mut selected, added, branches)?;
            }
            continue;
        };
        let mut terms = Vec::with_capacity(branches);
        for k in 0..branches {
            let norm = selected.add(branch(&node.name, k), Op::BatchNorm { affine: true }, &inputs)?;
            let share = share(&mut selected, &mut shares, (k, node.shape.c))?;
            terms.push(selected.add(format!("{}.weighed{k}", node.name), Op::Mul, &[norm, share])?);
        }
        of.push(selected.add(format!("{}{SUM}", node.name), Op::Add, &terms)?);
    }
    Ok(selected)
}

/// What the sum of weighed branches ends with.
const SUM: &str = ".sum";

fn branch(norm: &str, k: usize) -> String {
    format!("{norm}.branch{k}")
}

/// Three convolutions, the mean over the pixels, a linear layer, the softmax. Without a batch-norm, so that it does the same
/// whatever the others use as statistics.
fn module(net: &mut Net, image: NodeId, branches: usize) -> Result<()> {
    let mut x = image;
    for (i, out) in CHANNELS.into_iter().enumerate() {
        let conv = Op::Conv2d { out, window: Window::square(3, 2, 1), groups: 1, bias: true };
        x = net.add(format!("{MODULE}.conv{i}"), conv, &[x])?;
        x = net.add(format!("{MODULE}.act{i}"), Op::Act { act: Act::Relu }, &[x])?;
    }
    x = net.add(format!("{MODULE}.pool"), Op::GlobalAvgPool, &[x])?;
    x = net.add(format!("{MODULE}.fc"), Op::Linear { out: branches, bias: true }, &[x])?;
    net.add(format!("{MODULE}.softmax"), Op::Softmax { over: branches }, &[x])?;
    Ok(())
}

/// The share of a branch, once for each of some channels: what it is multiplied with. Halves are made first, so that
/// there are as few nodes as digits.
fn share(net: &mut Net, made: &mut HashMap<(usize, usize), NodeId>, (k, c): (usize, usize)) -> Result<NodeId> {
    if let Some(id) = made.get(&(k, c)) {
        return Ok(*id);
    }
    let name = format!("{MODULE}.share{k}x{c}");
    let id = if c == 1 {
        let missing = || Error::Internal("a selection module without a softmax".into());
        let softmax = net.find(&format!("{MODULE}.softmax")).ok_or_else(missing)?;
        net.add(name, Op::Slice { from: k, len: 1 }, &[softmax])?
    } else {
        let half = share(net, made, (k, c / 2))?;
        let mut parts = vec![half, half];
        if c % 2 == 1 {
            parts.push(share(net, made, (k, 1))?);
        }
        net.add(name, Op::Concat, &parts)?
    };
    made.insert((k, c), id);
    Ok(id)
}

/// How many kinds of images the network's selection module tells apart; none without a module.
pub fn kinds(net: &Net) -> Option<usize> {
    net.find(&format!("{MODULE}.softmax")).map(|id| net.node(id).shape.c)
}

/// The graph in which every sum of weighed branches is the branch of one kind of images; nothing of the module is used.
///
/// # Errors
/// [`Error::Net`] for a network without a module.
pub fn through(net: &Net, kind: usize) -> Result<Net> {
    let mut layers = net.layers();
    let own = |read: &str| {
        let name = branch(read.strip_suffix(SUM)?, kind);
        net.find(&name).map(|_| name)
    };
    // What weighs and sums the branches stays: nobody reads it.
    for read in layers.iter_mut().flat_map(|layer| &mut layer.inputs) {
        if let Some(name) = own(read) {
            *read = name;
        }
    }
    Net::from_layers(&layers)
}

/// The graph that answers with the logits, and behind them with the module's logits.
///
/// # Errors
/// [`Error::Net`] for a network without a module.
pub fn told(net: &Net) -> Result<Net> {
    let missing = || Error::Net("the network has no selection module".into());
    let fc = net.find(&format!("{MODULE}.fc")).ok_or_else(missing)?;
    net.answering(fc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::net::Layer;
    use crate::arch::op::Shape;
    use crate::arch::spec::NetSpec;

    fn selected(text: &str) -> Net {
        let spec = NetSpec::parse(text).unwrap();
        let (net, ..) = spec.load(Shape::new(8, 8, 3), 4, &|_| unreachable!("no file")).unwrap();
        with_module(&net, 3).unwrap()
    }

    #[test]
    fn graphs_of_one_network_have_its_parameters() {
        let net = selected("wrn:channels=5-5-6-7,depths=1-1-1,norm=multi-batch:3");
        assert_eq!((kinds(&net), net.branches(), net.classes()), (Some(3), 1, 4));
        let parameters = |net: &Net| -> Vec<(String, Op)> {
            let with = |layer: &Layer| matches!(layer.op, Op::Conv2d { .. } | Op::BatchNorm { .. } | Op::Linear { .. });
            net.layers().into_iter().filter(with).map(|layer| (layer.name, layer.op)).collect()
        };
        for kind in 0..3 {
            let own = through(&net, kind).unwrap();
            assert_eq!(parameters(&own), parameters(&net));
            let read = |of: &Layer| of.inputs.iter().any(|x| x.ends_with(SUM));
            assert!(!own.layers().iter().any(read), "a sum of branches is read");
        }
        assert_eq!(told(&net).unwrap().classes(), 4 + 3);
        // A network that has the module keeps it.
        assert_eq!(with_module(&net, 3).unwrap().layers(), net.layers());
    }

    #[test]
    fn a_network_without_branches_is_refused() {
        let spec = NetSpec::parse("wrn:10-1").unwrap();
        let (net, ..) = spec.load(Shape::new(8, 8, 3), 4, &|_| unreachable!("no file")).unwrap();
        let said = with_module(&net, 3).unwrap_err().to_string();
        assert!(said.contains("norm=multi-batch:3"), "{said}");
        assert!(told(&net).is_err());
    }
}
