//! Constants as arrays: entries picked, put side by side and laid over one another.

use super::constant::{Constant, Data};

/// The most numbers that a computed constant may have: what is larger is a damaged file.
const MOST: usize = 1 << 28;

impl Constant {
    /// A list of whole numbers.
    pub fn list(values: Vec<i64>) -> Self {
        Constant { dims: vec![values.len()], data: Data::Int(values) }
    }

    /// Distances of neighbours along every axis.
    fn strides(&self) -> Vec<usize> {
        let behind = |axis: usize| self.dims[axis + 1..].iter().product();
        (0..self.dims.len()).map(behind).collect()
    }

    /// Entries at places of its numbers, as an array of other sides.
    fn picked(&self, dims: Vec<usize>, places: &[usize]) -> Constant {
        let numbers = match &self.data {
            Data::Float(values) => Data::Float(places.iter().map(|p| values[*p]).collect()),
            Data::Int(values) => Data::Int(places.iter().map(|p| values[*p]).collect()),
        };
        Constant { dims, data: numbers }
    }

    /// The same numbers on other sides, of which there must be as many.
    pub fn reshaped(&self, dims: Vec<usize>) -> Constant {
        Constant { dims, data: self.data.clone() }
    }

    /// Axes in another order.
    pub fn transposed(&self, order: &[usize]) -> Constant {
        let strides = self.strides();
        let dims: Vec<usize> = order.iter().map(|axis| self.dims[*axis]).collect();
        let steps: Vec<usize> = order.iter().map(|axis| strides[*axis]).collect();
        let axes: Vec<Vec<usize>> =
            dims.iter().zip(steps).map(|(d, step)| (0..*d).map(|k| k * step).collect()).collect();
        self.picked(dims, &offsets(&axes))
    }

    /// Laid over larger sides.
    pub fn expanded(&self, dims: &[usize]) -> Result<Constant, String> {
        counted(dims)?;
        let (lead, strides) = (dims.len() - self.dims.len(), self.strides());
        let axes = dims.iter().enumerate().map(|(axis, side)| {
            let own = axis.checked_sub(lead);
            let step = own.filter(|own| self.dims[*own] > 1).map_or(0, |own| strides[own]);
            (0..*side).map(|k| k * step).collect()
        });
        let axes: Vec<Vec<usize>> = axes.collect();
        Ok(self.picked(dims.to_vec(), &offsets(&axes)))
    }

    /// Entries of one axis, in an order.
    pub fn taken(&self, axis: usize, entries: &[usize]) -> Constant {
        let strides = self.strides();
        let (mut dims, mut axes) = (self.dims.clone(), Vec::new());
        dims[axis] = entries.len();
        for (at, side) in self.dims.iter().enumerate() {
            let step = strides[at];
            axes.push(match at == axis {
                true => entries.iter().map(|k| k * step).collect(),
                false => (0..*side).map(|k| k * step).collect::<Vec<usize>>(),
            });
        }
        self.picked(dims, &offsets(&axes))
    }
}

/// The number of entries that sides have, if a constant may have as many.
pub fn counted(dims: &[usize]) -> Result<usize, String> {
    let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MOST);
    count.ok_or_else(|| format!("would make a constant of shape {dims:?}, which is too large"))
}

/// All sums of an offset of every axis, the last axis fastest.
fn offsets(axes: &[Vec<usize>]) -> Vec<usize> {
    axes.iter().fold(vec![0], |all, axis| all.iter().flat_map(|p| axis.iter().map(move |k| p + k)).collect())
}

/// Arrays side by side along an axis.
pub fn beside(parts: &[&Constant], axis: usize) -> Result<Constant, String> {
    let first = parts.first().ok_or("has no inputs")?;
    let fits = |part: &&&Constant| {
        let others = part.dims.len() == first.dims.len();
        others && part.dims.iter().zip(&first.dims).enumerate().all(|(at, (a, b))| at == axis || a == b)
    };
    if axis >= first.dims.len() || !parts.iter().all(|part| fits(&part)) {
        let shapes: Vec<&[usize]> = parts.iter().map(|part| &part.dims[..]).collect();
        return Err(format!("of constants of the shapes {shapes:?} along axis {axis} is not possible"));
    }
    let mut dims = first.dims.clone();
    dims[axis] = parts.iter().map(|part| part.dims[axis]).sum();
    counted(&dims)?;
    let outer: usize = first.dims[..axis].iter().product();
    let rows = |part: &Constant| part.dims[axis..].iter().product::<usize>();
    if let Some(all) = parts.iter().map(|part| part.ints().ok()).collect::<Option<Vec<_>>>() {
        let row = |at: usize| all.iter().zip(parts).flat_map(move |(own, part)| &own[at * rows(part)..][..rows(part)]);
        return Ok(Constant { dims, data: Data::Int((0..outer).flat_map(row).copied().collect()) });
    }
    let all = parts.iter().map(|part| part.floats()).collect::<Result<Vec<_>, _>>()?;
    let row = |at: usize| all.iter().zip(parts).flat_map(move |(own, part)| &own[at * rows(part)..][..rows(part)]);
    Ok(Constant { dims, data: Data::Float((0..outer).flat_map(row).copied().collect()) })
}

/// The sides of arrays laid over one another, as ONNX and NumPy do: aligned at the end, a side of 1 fits every other.
pub fn over<T: Copy + PartialEq + From<u8>>(a: &[T], b: &[T]) -> Option<Vec<T>> {
    let rank = a.len().max(b.len());
    let side = |list: &[T], at: usize| (at + list.len()).checked_sub(rank).map_or(T::from(1), |own| list[own]);
    let all = (0..rank).map(|at| match (side(a, at), side(b, at)) {
        (x, y) if x == y || y == T::from(1) => Some(x),
        (x, y) if x == T::from(1) => Some(y),
        _ => None,
    });
    all.collect()
}

/// An axis that may be counted from the end.
pub fn place(axis: i64, rank: usize) -> Result<usize, String> {
    let found = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(found).ok().filter(|at| *at < rank).ok_or_else(|| format!("has no axis {axis} of {rank}"))
}

/// Axes that may be counted from the end, none twice.
pub fn places(axes: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let mut list = Vec::with_capacity(axes.len());
    for axis in axes {
        let at = place(*axis, rank)?;
        if list.contains(&at) {
            return Err(format!("names axis {axis} twice: {axes:?}"));
        }
        list.push(at);
    }
    Ok(list)
}
