//! Arrays of numbers: their axes in another order, and products of matrices.

/// Entries in another order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permute {
    /// The axes of what comes out, outermost first: entries, and how far apart they are in what goes in. Neighbours are merged
    /// where that is the same.
    pub axes: Vec<[usize; 2]>,
}

impl Permute {
    /// Of an array with these sides, whose axes are put in this order.
    pub fn new(dims: &[usize], order: &[usize]) -> Self {
        let mut strides = vec![1; dims.len()];
        for axis in (1..dims.len()).rev() {
            strides[axis - 1] = strides[axis] * dims[axis];
        }
        let mut axes: Vec<[usize; 2]> = Vec::new();
        for axis in order {
            let (len, stride) = (dims[*axis], strides[*axis]);
            match axes.last_mut() {
                _ if len == 1 => {}
                Some([outer, step]) if *step == len * stride => (*outer, *step) = (*outer * len, stride),
                _ => axes.push([len, stride]),
            }
        }
        Permute { axes }
    }
}

/// Products of matrices, `[batches, rows, terms]` and `[batches, terms, cols]` to `[batches, rows, cols]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matmul {
    /// Products.
    pub batches: usize,
    /// Rows of the first matrix.
    pub rows: usize,
    /// Columns of the first and rows of the second.
    pub terms: usize,
    /// Columns of the second matrix.
    pub cols: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_stay_together_are_one() {
        assert_eq!(Permute::new(&[6, 5, 2, 2], &[2, 1, 0, 3]).axes, [[2, 2], [5, 4], [6, 20], [2, 1]]);
        assert_eq!(Permute::new(&[6, 5, 4], &[2, 0, 1]).axes, [[4, 1], [30, 4]]);
        assert_eq!(Permute::new(&[6, 1, 4], &[0, 1, 2]).axes, [[24, 1]]);
        assert!(Permute::new(&[1, 1], &[1, 0]).axes.is_empty());
    }
}
