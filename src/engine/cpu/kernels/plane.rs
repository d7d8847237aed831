//! A plane copied once into a zero-padded one, batch-norm, ReLU and crop applied, so that inner loops know no borders.

use super::load::Source;
use crate::arch::op::Shape;
use crate::engine::call::Load;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;
use std::ops::Range;

/// Where an image's plane lies in its padded copy `[size[0], size[1], c]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// The plane `[h, w, c]`, before cropping.
    pub source: Shape,
    /// What happens to it on the way.
    pub load: Load,
    /// Zero rows above and zero columns to the left.
    pub before: [usize; 2],
    /// Rows and columns of the copy.
    pub size: [usize; 2],
}

impl Plane {
    /// Scalars of a row of the copy.
    pub const fn row(&self) -> usize {
        self.size[1] * self.source.c
    }

    /// Scalars of the copy.
    pub const fn scalars(&self) -> usize {
        self.size[0] * self.row()
    }

    /// Whether the copy would be the plane itself.
    pub fn is_source(&self, x: Source<'_, impl Number>) -> bool {
        self.load == Load::default() && x.affine.is_none() && self.size == [self.source.h, self.source.w]
    }

    /// Copies one image's plane; of the copy only `rows`, which stand in `copy` from its beginning.
    pub fn fill<T: Number>(&self, isa: Isa, x: Source<'_, T>, rows: Range<usize>, copy: &mut [T]) {
        let (c, crop) = (self.source.c, self.load.crop);
        let width = self.size[1].saturating_sub(self.before[1]).min(self.source.w - crop[1]);
        for (row, copy) in rows.zip(copy.chunks_exact_mut(self.row())) {
            let Some(y) = row.checked_sub(self.before[0]).map(|y| y + crop[0]).filter(|y| *y < self.source.h) else {
                copy.fill(T::ZERO);
                continue;
            };
            let (left, rest) = copy.split_at_mut(self.before[1] * c);
            let (inner, right) = rest.split_at_mut(width * c);
            left.fill(T::ZERO);
            right.fill(T::ZERO);
            x.from((y * self.source.w + crop[1]) * c).read(isa, self.load.relu, inner);
        }
    }
}
