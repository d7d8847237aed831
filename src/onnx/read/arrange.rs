//! Layers whose entries are put in another order, for what no layer does in the order that they have; and constants and products
//! of matrices over any axes.

use std::cmp::Reverse;

use super::constant::Constant;
use super::draft::Weights;
use super::lowering::Lowering;
use super::value::Activation;
use super::view::{Axis, Part};
use crate::arch::op::{Op, Shape};

impl Lowering<'_> {
    /// An activation as a layer whose rows, columns and channels are these axes of its view, each list outermost first. Together
    /// they are all axes but those that run through the images alone.
    ///
    /// # Errors
    /// Where entries are missing, or are seen more than once.
    pub fn arranged(&mut self, x: Activation, sides: [&[usize]; 3]) -> Result<Activation, String> {
        let x = self.apply("", x)?;
        let unfit = || format!("takes [{}], whose entries no layer has in another order", x.view.words());
        let mut parts: Vec<[usize; 2]> = Vec::new();
        let mut lengths = [1; 3];
        for (length, list) in lengths.iter_mut().zip(sides) {
            for part in list.iter().flat_map(|at| &x.view.axes[*at].0) {
                if let Part::Steps { len, stride } = *part {
                    parts.push([len, stride]);
                    *length *= len;
                }
            }
        }
        // The layer's own order: from the farthest apart to neighbours.
        let mut own: Vec<usize> = (0..parts.len()).collect();
        own.sort_by_key(|at| Reverse(parts[*at][1]));
        let mut inner = 1;
        for [len, stride] in own.iter().rev().map(|at| parts[*at]) {
            if stride != inner {
                return Err(unfit());
            }
            inner *= len;
        }
        if inner != self.shape(&x).len() || x.pad.is_some() {
            return Err(unfit());
        }
        let mut order = vec![0; own.len()];
        own.iter().enumerate().for_each(|(place, at)| order[*at] = place);
        let shape = Shape::new(lengths[0], lengths[1], lengths[2]);
        let layer = if order.is_sorted() {
            self.reshaped(x.clone(), shape)?.layer
        } else {
            let dims = own.iter().map(|at| parts[*at][0]).collect();
            self.draft.push("", Op::Permute { dims, order, shape }, &[x.layer], Weights::default())?
        };
        let (mut view, mut step) = (x.view, shape.len());
        for at in sides.into_iter().flatten() {
            view.axes[*at] = Axis::of(view.axes[*at].0.iter().map(|part| match *part {
                Part::Images => Part::Images,
                Part::Steps { len, .. } => {
                    step /= len;
                    Part::Steps { len, stride: step }
                }
            }));
        }
        Ok(Activation::new(layer, view))
    }

    /// The axes of an activation that do not run through the images alone, but for one.
    fn others(x: &Activation, place: Option<usize>) -> Vec<usize> {
        let axes = x.view.axes.iter().enumerate();
        axes.filter(|(at, axis)| Some(*at) != place && axis.0 != [Part::Images]).map(|(at, _)| at).collect()
    }

    /// An activation whose copies are entries, and its axes beside one that is of an image.
    fn along(&mut self, x: Activation, place: usize) -> Result<(Activation, Vec<usize>), String> {
        if x.view.axes.get(place).is_none_or(Axis::has_images) {
            return Err(format!("works along axis {place} of [{}], which is none of an image", x.view.words()));
        }
        let x = self.copies_made(x)?;
        let others = Self::others(&x, Some(place));
        Ok((x, others))
    }

    /// An activation as a layer whose channels are one axis of its view, whose columns are the last of the others, and whose rows
    /// are the rest.
    ///
    /// # Errors
    /// Those of [`Lowering::arranged`], and for an axis that runs through the images.
    pub fn with_channels(&mut self, x: Activation, place: usize) -> Result<Activation, String> {
        let (x, others) = self.along(x, place)?;
        let (rows, columns) = others.split_at(others.len().saturating_sub(1));
        self.arranged(x, [rows, columns, &[place]])
    }

    /// An activation as a layer whose rows are one axis of its view, and whose channels are the last of the others.
    ///
    /// # Errors
    /// Those of [`Lowering::arranged`], and for an axis that runs through the images.
    pub fn with_rows(&mut self, x: Activation, place: usize) -> Result<Activation, String> {
        let (x, others) = self.along(x, place)?;
        let (columns, channels) = others.split_at(others.len().saturating_sub(1));
        self.arranged(x, [&[place], columns, channels])
    }

    /// An activation as a layer that has its entries in the order of its view, the last axis as channels.
    ///
    /// # Errors
    /// Those of [`Lowering::arranged`].
    pub fn in_view_order(&mut self, x: Activation) -> Result<Activation, String> {
        let x = self.copies_made(x)?;
        let all = Self::others(&x, None);
        let (others, channels) = all.split_at(all.len().saturating_sub(1));
        let (rows, columns) = others.split_at(others.len().saturating_sub(1));
        self.arranged(x, [rows, columns, channels])
    }

    /// An activation whose copies are entries of a layer.
    ///
    /// # Errors
    /// Those of [`Lowering::arranged`].
    pub fn copies_made(&mut self, x: Activation) -> Result<Activation, String> {
        let mut x = x;
        while let Some(place) = x.view.axes.iter().position(Axis::is_repeated) {
            let times = x.view.axes[place].len();
            let once: Vec<usize> =
                Self::others(&x, Some(place)).into_iter().filter(|at| !x.view.axes[*at].is_repeated()).collect();
            let copied: Vec<(usize, Axis)> = (x.view.axes.iter().cloned().enumerate())
                .filter(|(at, axis)| *at != place && axis.is_repeated())
                .collect();
            x.view.axes.iter_mut().filter(|axis| axis.is_repeated()).for_each(|axis| *axis = Axis::default());
            let mut one = self.arranged(x, [&[], &[], &once])?;
            let len = self.shape(&one).len();
            one.layer = self.beside_itself(one.layer, times)?;
            one.view.axes[place] = Axis::steps(times, len);
            copied.into_iter().for_each(|(at, axis)| one.view.axes[at] = axis);
            x = one;
        }
        Ok(x)
    }

    /// The numbers of a constant that is laid over an activation, as its layer has them; `None` where it does not fit.
    pub fn laid_over(&self, x: &Activation, constant: &Constant) -> Result<Option<Vec<f32>>, String> {
        let rank = x.view.axes.len();
        let Some(lead) = rank.checked_sub(constant.dims.len()) else { return Ok(None) };
        let sides: Vec<usize> = x.view.axes.iter().map(Axis::len).collect();
        let fits = |at: usize| {
            let own = constant.dims[at - lead];
            own == 1 || own == sides[at] && !x.view.axes[at].has_images()
        };
        let order = x.view.order();
        let mut seen = order.clone();
        seen.sort_unstable();
        if !(lead..rank).all(fits) || !seen.into_iter().eq(0..self.shape(x).len()) {
            return Ok(None);
        }
        let all = constant.expanded(&sides)?;
        let mut own = vec![0f32; order.len()];
        for (entry, value) in order.into_iter().zip(all.floats()?) {
            own[entry] = *value;
        }
        Ok(Some(own))
    }

    /// A layer that gives the same numbers for every image, in the shape of another layer.
    pub fn numbers(&mut self, like: usize, numbers: Vec<f32>) -> Result<usize, String> {
        let zeros = self.draft.push("", Op::Zero { stride: 1 }, &[like], Weights::default())?;
        let weights = Weights { trainable: vec![numbers], running: None };
        self.draft.push("", Op::Position, &[zeros], weights)
    }

    /// The products of matrices that are the last two axes, `[.., m, k]` and `[.., k, n]` to `[.., m, n]`.
    ///
    /// # Errors
    /// Where the other axes differ, and those of [`Lowering::arranged`].
    pub fn matmul(&mut self, a: Activation, b: Activation) -> Result<Activation, String> {
        let (a, b) = (self.copies_made(a)?, self.copies_made(b)?);
        let unfit = format!("multiplies [{}] by [{}], which is not supported", a.view.words(), b.view.words());
        let rank = a.view.axes.len();
        let sides = |x: &Activation| x.view.sides(self.images());
        let lead = rank.checked_sub(2).filter(|lead| {
            rank == b.view.axes.len()
                && sides(&a)[..*lead] == sides(&b)[..*lead]
                && [&a, &b].iter().all(|x| x.view.axes[*lead..].iter().all(|axis| !axis.has_images()))
        });
        let Some(lead) = lead else { return Err(unfit) };
        let outer =
            |x: &Activation| -> Vec<usize> { Self::others(x, None).into_iter().filter(|at| *at < lead).collect() };
        let (of_a, of_b) = (outer(&a), outer(&b));
        let a = self.arranged(a, [&of_a, &[lead], &[lead + 1]])?;
        let b = self.arranged(b, [&of_b, &[lead], &[lead + 1]])?;
        let (left, right) = (self.shape(&a), self.shape(&b));
        let layer = self.draft.push("", Op::Matmul, &[a.layer, b.layer], Weights::default())?;
        // Rows of another length: all strides but those along a row change with it.
        let view = a.view.with_channels_at(lead + 1, left.c, right.c);
        Ok(Activation::new(layer, view))
    }
}
