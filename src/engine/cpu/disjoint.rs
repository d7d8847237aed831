//! Parts of a lane's memory, borrowed side by side.

use std::ops::Range;

/// What lies around a part of a slice.
pub struct Others<'a, T> {
    before: &'a [T],
    after: &'a [T],
    /// Where `after` begins.
    end: usize,
}

/// A part of a slice to write, and what lies around it to read, however often.
pub fn around<T>(slice: &mut [T], part: Range<usize>) -> (Others<'_, T>, &mut [T]) {
    let end = part.end;
    let (head, after) = slice.split_at_mut(end);
    let (before, part) = head.split_at_mut(part.start);
    (Others { before, after, end }, part)
}

impl<'a, T> Others<'a, T> {
    /// A range of it.
    ///
    /// # Panics
    /// When the range overlaps the part: the plan's lifetimes are wrong.
    pub fn get(&self, range: Range<usize>) -> &'a [T] {
        if range.end <= self.before.len() {
            &self.before[range]
        } else {
            &self.after[range.start - self.end..range.end - self.end]
        }
    }
}

/// Several parts of a slice at once.
///
/// # Panics
/// When two of them overlap: the plan's lifetimes are wrong.
pub fn disjoint<T, const N: usize>(slice: &mut [T], ranges: [Range<usize>; N]) -> [&mut [T]; N] {
    match slice.get_disjoint_mut(ranges.clone()) {
        Ok(parts) => parts,
        Err(why) => panic!("buffers {ranges:?}: {why}"),
    }
}
