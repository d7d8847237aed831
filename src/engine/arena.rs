//! Offsets from lifetimes: buffers that are never alive together share memory.

/// A buffer's wish for space.
#[derive(Clone, Copy, Debug)]
struct Buffer {
    len: usize,
    first: usize,
    last: usize,
}

/// Collects buffers with their first and last use, then places them.
#[derive(Debug, Default)]
pub struct Lifetimes {
    buffers: Vec<Buffer>,
}

/// Where a buffer stands in the part of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The first scalar, a multiple of 16.
    pub start: usize,
    /// Scalars.
    pub len: usize,
}

/// A buffer's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(usize);

impl BufferId {
    /// The number.
    pub fn index(self) -> usize {
        self.0
    }
}

impl Lifetimes {
    /// Declares a buffer of `len` scalars; it is alive from its first to its last use.
    pub fn declare(&mut self, len: usize) -> BufferId {
        self.buffers.push(Buffer { len, first: usize::MAX, last: 0 });
        BufferId(self.buffers.len() - 1)
    }

    /// How many were declared.
    pub fn len(&self) -> usize {
        self.buffers.len()
    }

    /// Says that the buffer is read or written at a time.
    pub fn touch(&mut self, id: BufferId, time: usize) {
        let b = &mut self.buffers[id.0];
        b.first = b.first.min(time);
        b.last = b.last.max(time);
    }

    /// Places every buffer, large ones first, each at the lowest offset free during its life. Returns the places and
    /// the length of the whole. Buffers that were never touched get an empty place.
    ///
    /// Lengths are rounded up to 16 scalars, so that every buffer of an aligned arena starts on a cache line.
    pub fn place(&self) -> (Vec<Place>, usize) {
        let mut order: Vec<usize> = (0..self.buffers.len()).filter(|i| self.buffers[*i].first != usize::MAX).collect();
        order.sort_by_key(|i| (std::cmp::Reverse(self.buffers[*i].len), self.buffers[*i].first, *i));
        let mut places = vec![Place::default(); self.buffers.len()];
        let mut placed: Vec<usize> = Vec::new();
        let mut total = 0;
        for i in order {
            let b = self.buffers[i];
            let size = b.len.next_multiple_of(16);
            let mut busy: Vec<(usize, usize)> = placed
                .iter()
                .filter(|j| self.buffers[**j].first <= b.last && b.first <= self.buffers[**j].last)
                .map(|j| (places[*j].start, places[*j].start + self.buffers[*j].len.next_multiple_of(16)))
                .collect();
            busy.sort_unstable();
            let mut at = 0;
            for (start, end) in busy {
                if start >= at + size {
                    break;
                }
                at = at.max(end);
            }
            places[i] = Place { start: at, len: b.len };
            placed.push(i);
            total = total.max(at + size);
        }
        (places, total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn buffers_alive_together_never_overlap(spec in prop::collection::vec((1usize..100, 0usize..20, 0usize..20), 1..40)) {
            let mut l = Lifetimes::default();
            for (len, a, b) in &spec {
                let id = l.declare(*len);
                l.touch(id, *a);
                l.touch(id, *b);
            }
            let (places, total) = l.place();
            let end = |i: usize| places[i].start + places[i].len;
            for i in 0..spec.len() {
                prop_assert!(places[i].len == spec[i].0 && end(i) <= total);
                for j in 0..i {
                    let (a, b) = (l.buffers[i], l.buffers[j]);
                    let together = a.first <= b.last && b.first <= a.last;
                    let overlap = places[i].start < end(j) && places[j].start < end(i);
                    prop_assert!(!(together && overlap));
                }
            }
        }
    }

    #[test]
    fn a_chain_needs_two_buffers() {
        let mut l = Lifetimes::default();
        for t in 0..10 {
            let id = l.declare(64);
            l.touch(id, t);
            l.touch(id, t + 1);
        }
        assert_eq!(l.place().1, 128);
    }
}
