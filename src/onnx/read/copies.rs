//! Entries that are seen again and again, as ONNX lays small tensors over larger ones, and the layers that make copies of them.

use super::arrays::over;
use super::draft::Weights;
use super::lowering::Lowering;
use super::value::Activation;
use super::view::{Axis, IMAGES, View, words};
use crate::arch::op::{Op, Shape};

impl Lowering<'_> {
    /// Makes layers of what a view sees again and again: planes of a shape of planes of which some sides are one.
    pub fn copied(&mut self, activation: Activation, shape: Shape) -> Result<Activation, String> {
        let is_copy = |at: usize| activation.view.axes[at].is_repeated();
        let [c, h, w] = [(1, shape.c), (2, shape.h), (3, shape.w)].map(|(at, side)| if is_copy(at) { 1 } else { side });
        let once = Shape { h, w, c };
        if activation.view.once() != self.planes_of(once) || once.len() != self.shape(&activation).len() {
            return Err(format!("takes [{}], whose entries lie in another order", activation.view.words()));
        }
        let mut layer = self.reshaped(activation.clone(), once)?.layer;
        // Channels lie within columns, and these within rows, so that copies of an innermost axis are channels side by side.
        for (own, side, inner) in [(c, shape.c, 1), (w, shape.w, shape.c), (h, shape.h, shape.w * shape.c)] {
            if own == side {
                continue;
            }
            let now = self.draft.shape(layer);
            if now.c != inner {
                let shape = Shape { h: now.len() / inner, w: 1, c: inner };
                layer = self.draft.push("", Op::Reshape { shape }, &[layer], Weights::default())?;
            }
            layer = self.beside_itself(layer, side)?;
        }
        let all = self.reshaped(Activation::new(layer, self.planes_of(shape)), shape)?;
        Ok(Activation { view: self.planes_of(shape), ..all })
    }

    /// Planes whose channels are seen in another order than a layer's (a shuffle of groups) as a layer of that order: parts of
    /// the channels side by side.
    pub fn in_order(&mut self, x: Activation) -> Result<Activation, String> {
        let planes = self.planes_of(self.shape(&x));
        let alike = |at: usize| x.view.axes[at] == planes.axes[at];
        if x.view.axes.len() != 4 || ![0, 2, 3].into_iter().all(alike) || alike(1) || x.view.axes[1].has_images() {
            return Ok(x);
        }
        let order = View { axes: vec![x.view.axes[1].clone()] }.order();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.shape(&x).c) {
            return Ok(x);
        }
        // Runs of channels that follow each other.
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for at in order {
            match runs.last_mut() {
                Some((from, len)) if *from + *len == at => *len += 1,
                _ => runs.push((at, 1)),
            }
        }
        let part = |(from, len)| self.draft.push("", Op::Slice { from, len }, &[x.layer], Weights::default());
        let parts = runs.into_iter().map(part).collect::<Result<Vec<_>, _>>()?;
        let layer = self.draft.push("", Op::Concat, &parts, Weights::default())?;
        Ok(Activation { layer, view: planes, ..x })
    }

    /// A layer's channels side by side several times.
    pub fn beside_itself(&mut self, layer: usize, times: usize) -> Result<usize, String> {
        let c = self.draft.shape(layer).c;
        let (mut all, mut made) = (layer, 1);
        while made < times {
            all = self.draft.push("", Op::Concat, &[all, all], Weights::default())?;
            made *= 2;
        }
        match made == times {
            true => Ok(all),
            false => self.draft.push("", Op::Slice { from: 0, len: c * times }, &[all], Weights::default()),
        }
    }

    /// An activation laid over larger sides: what has one entry is seen again and again.
    pub fn laid(&self, x: Activation, sides: &[i64]) -> Result<Activation, String> {
        let now = x.view.sides(self.images());
        if now == sides {
            return Ok(x);
        }
        let lead = sides.len().checked_sub(now.len());
        let axes = lead.and_then(|lead| {
            let own = |at: usize| at.checked_sub(lead).map(|at| (&x.view.axes[at], now[at]));
            let axes = sides.iter().enumerate().map(|(at, side)| match own(at) {
                Some((axis, own)) if own == *side => Some(axis.clone()),
                None | Some((_, 1)) if side % IMAGES != 0 => usize::try_from(*side).ok().map(Axis::repeated),
                _ => None,
            });
            axes.collect::<Option<Vec<Axis>>>()
        });
        match axes {
            Some(axes) if x.unit.is_none() => Ok(Activation { view: View { axes }, ..x }),
            _ => Err(format!("of [{}] over [{}] is not supported", x.view.words(), words(sides))),
        }
    }

    /// Activations seen alike: laid over one another, as planes where they were not.
    pub fn alike(&mut self, list: Vec<Activation>) -> Result<Vec<Activation>, String> {
        let Some(first) = list.first() else { return Ok(list) };
        if list.iter().all(|x| x.view == first.view) {
            return Ok(list);
        }
        let all: Vec<Vec<i64>> = list.iter().map(|x| x.view.sides(self.images())).collect();
        let sides = all.iter().try_fold(vec![], |sides, more| over(&sides, more));
        let unfit = || {
            let views: Vec<String> = list.iter().map(|x| format!("[{}]", x.view.words())).collect();
            format!("takes {} together, or with entries in another order", views.join(" and "))
        };
        let sides = sides.ok_or_else(unfit)?;
        let mut made = Vec::new();
        for x in &list {
            let laid = self.laid(x.clone(), &sides)?;
            made.push(laid);
        }
        let planes: Result<Vec<_>, _> = made.iter().map(|x| self.as_planes_in_order(x.clone())).collect();
        if let Ok(planes) = planes {
            return Ok(planes);
        }
        made.into_iter().map(|x| self.in_view_order(x)).collect()
    }
}
