//! The builder of every family: layers one after another, lowered as the network's [`Elements`] say.

use super::elements::{Downsampling, Elements, Gate};
use super::net::{Net, NodeId};
use super::op::{Act, Op, Shape, Window};
use crate::error::{Error, Result};

/// Adds layers one after another under a common name prefix.
///
/// A layer keeps the name the family gives it, whatever it is lowered to: parameters of a network with other elements
/// are found under the same names.
pub struct Chain<'a> {
    net: &'a mut Net,
    prefix: String,
    at: NodeId,
    elements: Elements,
}

impl<'a> Chain<'a> {
    /// A chain that starts at `from`.
    pub fn new(net: &'a mut Net, prefix: impl Into<String>, from: NodeId, elements: &Elements) -> Self {
        Chain { net, prefix: prefix.into(), at: from, elements: *elements }
    }

    /// The last node added, of a chain that is complete.
    pub fn end(self) -> NodeId {
        self.at
    }

    /// The last node added.
    pub fn at(&self) -> NodeId {
        self.at
    }

    /// Continues after an earlier node.
    pub fn back(self, to: NodeId) -> Self {
        Chain { at: to, ..self }
    }

    /// The shape of the last node's output, `[h, w, c]`.
    pub fn shape(&self) -> Shape {
        self.net.node(self.at).shape
    }

    /// Adds one operation called `prefix.name`, unchanged by the elements.
    ///
    /// # Errors
    /// As [`Net::add`].
    pub fn push(self, name: &str, op: Op) -> Result<Self> {
        let at = self.at;
        self.join(name, op, &[at])
    }

    /// Adds one operation on several nodes; the chain continues after it.
    ///
    /// # Errors
    /// As [`Net::add`].
    pub fn join(mut self, name: &str, op: Op, inputs: &[NodeId]) -> Result<Self> {
        self.at = self.net.add([&self.prefix, ".", name].concat(), op, inputs)?;
        Ok(self)
    }

    /// Several operations, if a condition holds.
    ///
    /// # Errors
    /// Those of `layers`.
    pub fn when(self, condition: bool, layers: impl FnOnce(Self) -> Result<Self>) -> Result<Self> {
        if condition { layers(self) } else { Ok(self) }
    }

    /// ReLU, whatever the network's activation is.
    ///
    /// # Errors
    /// As [`Net::add`].
    pub fn relu(self, name: &str) -> Result<Self> {
        self.push(name, Op::Act { act: Act::Relu })
    }

    /// The network's activation.
    ///
    /// Sparta's formula is not public. Its abstract describes an activation with spatial attention that depends on the
    /// input, is related to Swish (`x sigmoid(beta x)`) and, once learned, can be used in other networks. We take
    /// `x sigmoid(phi(x))` with `phi` a depthwise 3x3 convolution (space) and a 1x1 convolution (channels), both with
    /// biases; Swish is a special case. Its parameters are called `name.phi.*`, and fit every network that has a layer
    /// of this name and width (ResNet-18 and 34 share those of their first blocks).
    ///
    /// # Errors
    /// As [`Net::add`].
    pub fn act(self, name: &str) -> Result<Self> {
        match self.elements.act.primitive() {
            Some(act) => self.push(name, Op::Act { act }),
            None => self.sparta(name),
        }
    }

    fn sparta(self, name: &str) -> Result<Self> {
        let (x, c) = (self.at, self.shape().c);
        let place = Op::Conv2d { out: c, window: Window::same(3, 1, 1), groups: c, bias: true };
        let channel = Op::Conv2d { out: c, window: Window::square(1, 1, 0), groups: 1, bias: true };
        let phi =
            self.push(&format!("{name}.phi.depthwise"), place)?.push(&format!("{name}.phi.pointwise"), channel)?;
        let gate = phi.push(&format!("{name}.sigmoid"), Op::Act { act: Act::Sigmoid })?;
        let factor = gate.at;
        gate.join(name, Op::Mul, &[x, factor])
    }

    /// The network's normalisation; none under ConvNorm, which is part of the convolutions.
    ///
    /// # Errors
    /// As [`Net::add`].
    pub fn norm(self, name: &str) -> Result<Self> {
        match self.elements.norm.op(self.shape().c) {
            Some(op) => self.push(name, op),
            None => Ok(self),
        }
    }

    /// Bias-free convolution; a strided one halves the size as the elements say.
    ///
    /// Under ConvNorm (Liu et al. 2021) it is the convolution `name` whose output spectrum is normalised, a depthwise
    /// convolution `name.affine` with the same kernel size and a bias, and the batch-norm `name.bn`; other
    /// normalisations are left out.
    ///
    /// # Errors
    /// As [`Net::add`]; [`Error::Net`] for a stride other than 1 and 2 where the network halves by pooling.
    pub fn conv(self, name: &str, out: usize, window: Window) -> Result<Self> {
        self.grouped(name, out, window, 1)
    }

    /// Bias-free depthwise convolution.
    ///
    /// # Errors
    /// As [`grouped`](Self::grouped).
    pub fn depthwise(self, name: &str, window: Window) -> Result<Self> {
        let c = self.shape().c;
        self.grouped(name, c, window, c)
    }

    /// Bias-free convolution in groups.
    ///
    /// # Errors
    /// As [`conv`](Self::conv); [`Error::Net`] under ConvNorm unless there is one group.
    pub fn grouped(self, name: &str, out: usize, window: Window, groups: usize) -> Result<Self> {
        let (chain, window) = self.halve(name, window)?;
        if chain.elements.norm.op(out).is_some() {
            return chain.push(name, Op::Conv2d { out, window, groups, bias: false });
        }
        if groups != 1 {
            return Err(Error::Net(format!(
                "`{}.{name}`: ConvNorm is defined for one group, not {groups}; choose another norm",
                chain.prefix
            )));
        }
        let pad = window.kernel.map(|k| (k - 1) / 2);
        let own = Window { kernel: window.kernel, stride: [1; 2], pad, dilation: [1; 2] };
        chain
            .push(name, Op::ConvNorm { out, window })?
            .push(&format!("{name}.affine"), Op::Conv2d { out, window: own, groups: out, bias: true })?
            .push(&format!("{name}.bn"), Op::BatchNorm { affine: true })
    }

    /// Halves the size before a strided window; returns the window that remains.
    fn halve(self, name: &str, window: Window) -> Result<(Self, Window)> {
        let down = self.elements.down;
        if window.stride == [1; 2] || down == Downsampling::Stride {
            return Ok((self, window));
        }
        if window.stride != [2; 2] {
            return Err(Error::Net(format!(
                "`{}.{name}`: `{down}` halves both sides and cannot stand in for stride {:?}",
                self.prefix, window.stride
            )));
        }
        let chain = self.push(&format!("{name}.down"), half(down, Window::square(2, 2, 0)))?;
        Ok((chain, Window { stride: [1; 2], ..window }))
    }

    /// The pool of a stem: a maximum over `window`, unless the elements halve by average or FLC pooling.
    ///
    /// # Errors
    /// As [`Net::add`].
    pub fn pool(self, name: &str, window: Window) -> Result<Self> {
        let down = self.elements.down;
        self.push(name, half(down, window))
    }

    /// The network's gate, named `name`.
    ///
    /// # Errors
    /// As [`Net::add`].
    pub fn gate(self, name: &str) -> Result<Self> {
        let c = self.shape().c;
        match self.elements.gate {
            Gate::None => Ok(self),
            Gate::Se { ratio } => self.squeeze(name, ((c as f32 * ratio) as usize).max(1), true),
            Gate::ResidualSe { reduction } => {
                let x = self.at;
                let se = self.norm(&format!("{name}.bn"))?.squeeze(name, (c / reduction).max(1), false)?;
                let branch = se.at;
                se.join(&format!("{name}.add"), Op::Add, &[x, branch])
            }
        }
    }

    /// Squeeze-and-excitation (Hu et al. 2018): `x sigmoid(W2 relu(W1 mean(x)))` with `hidden` hidden channels.
    ///
    /// # Errors
    /// As [`Net::add`].
    pub fn squeeze(self, name: &str, hidden: usize, bias: bool) -> Result<Self> {
        let (x, c) = (self.at, self.shape().c);
        let factor = self
            .push(&format!("{name}.pool"), Op::GlobalAvgPool)?
            .push(&format!("{name}.reduce"), Op::Linear { out: hidden, bias })?
            .relu(&format!("{name}.relu"))?
            .push(&format!("{name}.expand"), Op::Linear { out: c, bias })?
            .push(&format!("{name}.sigmoid"), Op::Act { act: Act::Sigmoid })?;
        let gate = factor.at;
        factor.join(name, Op::Mul, &[x, gate])
    }

    /// The network's dropout, where it has one.
    ///
    /// # Errors
    /// As [`Net::add`].
    pub fn dropout(self, name: &str) -> Result<Self> {
        let rate = self.elements.dropout;
        self.when(rate > 0.0, |chain| chain.push(name, Op::Dropout { rate }))
    }

    /// Ends a residual branch, the `block`th of `blocks`: layer scale and stochastic depth where the network has them,
    /// and the sum `prefix.add` with the shortcut.
    ///
    /// # Errors
    /// As [`Net::add`]: the branch and the shortcut have one shape.
    pub fn residual(self, shortcut: NodeId, block: usize, blocks: usize) -> Result<Self> {
        let (scale, rate) = (self.elements.layer_scale, self.elements.drop_path_at(block, blocks));
        let mut branch = self;
        if let Some(init) = scale {
            branch = branch.push("scale", Op::Scale { init })?;
        }
        let branch = branch.when(rate > 0.0, |chain| chain.push("drop_path", Op::StochasticDepth { rate }))?;
        let at = branch.at;
        branch.join("add", Op::Add, &[at, shortcut])
    }
}

/// The operation that halves the size; `window` is the pool's.
fn half(down: Downsampling, window: Window) -> Op {
    match down {
        Downsampling::Stride | Downsampling::MaxPool => Op::MaxPool { window },
        Downsampling::AvgPool => Op::AvgPool { window, count_include_pad: true },
        Downsampling::Flc => Op::FlcPool { hamming: false },
        Downsampling::FlcHamming => Op::FlcPool { hamming: true },
    }
}
