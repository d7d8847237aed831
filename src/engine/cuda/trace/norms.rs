//! Batch-norms: their statistics, what they give, and the sums and lines of their backward pass.

use super::{Trace, disagree};
use crate::engine::call::Kind;
use crate::engine::cuda::address::{Address, Incoming, Source};
use crate::engine::cuda::kernels::norm::Norm;
use crate::engine::cuda::kernels::pointwise;
use crate::engine::cuda::memory::Memory;
use crate::engine::plan::{Gradient, NormPlace, Statistics};
use crate::error::Result;

/// A batch-norm with its places in memory, if a node is one.
pub fn norm<'p>(memory: &Memory<'p>, node: usize) -> Option<(&'p NormPlace, Norm)> {
    let plan = memory.plan;
    let call = &plan.nodes[node];
    let (Some(place), Kind::Norm { affine, running }) = (&plan.norms[node], &call.kind) else { return None };
    let (weight, bias) = match affine {
        Some((weight, bias)) => (memory.state(weight), memory.state(bias)),
        None => (Address::NONE, Address::NONE),
    };
    let norm = Norm {
        x: memory.place(plan.value[call.inputs[0]]),
        images: memory.place(plan.stats[node]),
        weight,
        bias,
        running: memory.state(running),
        stats: memory.shared(place.stats()),
        affine: memory.shared(place.affine()),
        unit: memory.shared(place.unit()),
        line: memory.shared(place.line()),
        sums: memory.shared(place.sums()),
        in_place: plan.in_place(node).into(),
        batch_statistics: (plan.statistics == Statistics::Batch).into(),
        ..Norm::new(memory.images(), call.shape.area(), call.shape.c)
    };
    Some((place, norm))
}

impl<'a> Trace<'a> {
    fn norm(&self, node: usize) -> Result<(&'a NormPlace, Norm)> {
        norm(&self.memory, node).ok_or_else(|| disagree(node, "is no batch-norm and is used as one"))
    }

    pub(super) fn moments(&mut self, node: usize) -> Result<()> {
        let (_, norm) = self.norm(node)?;
        self.tape.push(norm.moments());
        Ok(())
    }

    pub(super) fn merge_moments(&mut self, node: usize) -> Result<()> {
        let (_, norm) = self.norm(node)?;
        self.tape.push(norm.merge_moments());
        Ok(())
    }

    pub(super) fn fold_running(&mut self, node: usize) -> Result<()> {
        let (_, norm) = self.norm(node)?;
        self.tape.push(norm.fold_running());
        Ok(())
    }

    pub(super) fn normalize(&mut self, node: usize) -> Result<()> {
        let (place, norm) = self.norm(node)?;
        let from = Source { scale: norm.affine, shift: norm.affine.at(place.c), ..Source::plain(norm.x) };
        self.tape.push(pointwise::apply(from, self.value(node), self.len(node), place.c));
        Ok(())
    }

    /// The images' sums, and what they are to weight and bias.
    pub(super) fn gradient_sums(&mut self, node: usize) -> Result<()> {
        let (_, norm) = self.norm(node)?;
        let norm = Norm { dy: self.norm_gradient(node)?, factor: self.factor(node), ..norm };
        self.tape.push(norm.gradient_sums());
        if let (true, Kind::Norm { affine: Some((weight, bias)), .. }) =
            (self.plan().wrt.params, &self.plan().nodes[node].kind)
        {
            let [dweight, dbias] = [weight, bias].map(|range| self.memory.gathered(range.start));
            self.tape.push(Norm { dweight, dbias, ..norm }.gradient_affine());
        }
        Ok(())
    }

    pub(super) fn merge_line(&mut self, node: usize) -> Result<()> {
        let (_, norm) = self.norm(node)?;
        self.tape.push(Norm { factor: self.factor(node), ..norm }.merge_line());
        Ok(())
    }

    pub(super) fn norm_backward(&mut self, node: usize, accumulate: bool) -> Result<()> {
        let x = self.plan().nodes[node].inputs[0];
        let Some(to) = self.target(x, accumulate) else {
            return Err(disagree(node, "writes a gradient that its input has not"));
        };
        let line = self.line(node)?;
        self.tape.push(pointwise::carry(line, to, self.len(node)));
        Ok(())
    }

    /// The gradient of a batch-norm's input; a factor that its own is still to be multiplied by is part of the line.
    pub(super) fn line(&self, node: usize) -> Result<Incoming> {
        let (place, norm) = self.norm(node)?;
        let x = if self.plan().statistics == Statistics::Batch { norm.x } else { Address::NONE };
        Ok(Incoming { line: norm.line, x, ..Incoming::plain(self.norm_gradient(node)?, place.c) })
    }

    fn norm_gradient(&self, node: usize) -> Result<Address> {
        match self.plan().grad[node] {
            Some(Gradient::Own(place) | Gradient::Shared { place, .. }) => Ok(self.memory.place(place)),
            Some(Gradient::Line(_)) | None => Err(disagree(node, "is a batch-norm without a gradient in memory")),
        }
    }

    fn factor(&self, node: usize) -> Address {
        match self.plan().grad[node] {
            Some(Gradient::Shared { factor: Some(weight), .. }) => self.memory.mix(weight),
            _ => Address::NONE,
        }
    }
}
