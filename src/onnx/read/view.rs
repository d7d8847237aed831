//! The view that ONNX has of an activation, which the engine stores as `[h, w, c]`. Reshapes and transposes are other
//! views of the same layer.

use crate::arch::op::Shape;

/// A dynamic batch size: a prime that is no dimension of a real tensor, so that products of dimensions can be factored.
pub const IMAGES: i64 = 2_147_483_647;

/// The axes of a tensor, outermost first, each as ranges of the batch and of `[h, w, c]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Outermost first.
    pub axes: Vec<Axis>,
}

/// The ranges of an axis, outermost first. Ranges of one entry are left out, adjacent ones are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axis(pub Vec<Part>);

/// A range of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The images.
    Images,
    /// Entries of one image.
    Steps {
        /// Number of entries.
        len: usize,
        /// How far apart in `[h, w, c]`; zero where one entry is seen again and again.
        stride: usize,
    },
}

impl Axis {
    /// The images.
    pub fn images() -> Self {
        Axis(vec![Part::Images])
    }

    /// `len` entries `stride` apart.
    pub fn steps(len: usize, stride: usize) -> Self {
        Axis::of([Part::Steps { len, stride }])
    }

    /// All channels.
    pub fn channels(c: usize) -> Self {
        Axis::steps(c, 1)
    }

    /// One entry, seen again and again.
    pub fn repeated(len: usize) -> Self {
        Axis::steps(len, 0)
    }

    /// Whether it sees one entry again and again.
    pub fn is_repeated(&self) -> bool {
        self.only().is_some_and(|[_, stride]| stride == 0)
    }

    /// All pixels in their order.
    pub fn pixels(shape: Shape) -> Self {
        Axis::steps(shape.area(), shape.c)
    }

    /// In normal form.
    pub fn of(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut list: Vec<Part> = Vec::new();
        for part in parts {
            match (list.last_mut(), part) {
                (_, Part::Steps { len: 1, .. }) => {}
                (Some(Part::Steps { len, stride }), Part::Steps { len: more, stride: inner })
                    if *stride == more * inner =>
                {
                    (*len, *stride) = (*len * more, inner);
                }
                _ => list.push(part),
            }
        }
        Axis(list)
    }

    /// Its only range, `[len, stride]`; an axis of one entry has none.
    pub fn only(&self) -> Option<[usize; 2]> {
        match self.0[..] {
            [Part::Steps { len, stride }] => Some([len, stride]),
            _ => None,
        }
    }

    /// Number of entries of one image.
    pub fn len(&self) -> usize {
        self.0.iter().map(|part| if let Part::Steps { len, .. } = part { *len } else { 1 }).product()
    }

    /// Whether it has the batch.
    pub fn has_images(&self) -> bool {
        self.0.contains(&Part::Images)
    }

    fn map(&self, change: impl Fn(usize, usize) -> (usize, usize)) -> Self {
        Axis::of(self.0.iter().map(|part| match *part {
            Part::Images => Part::Images,
            Part::Steps { len, stride } => {
                let (len, stride) = change(len, stride);
                Part::Steps { len, stride }
            }
        }))
    }
}

impl View {
    /// `[n, c, h, w]`.
    pub fn planes(Shape { h, w, c }: Shape) -> Self {
        View { axes: vec![Axis::images(), Axis::channels(c), Axis::steps(h, w * c), Axis::steps(w, c)] }
    }

    /// `[n, c h w]`, channels outermost.
    pub fn flat(shape: Shape) -> Self {
        let planes = View::planes(shape);
        let (images, rest) = (planes.axes[0].clone(), planes.axes[1..].iter().flat_map(|a| a.0.clone()));
        View { axes: vec![images, Axis::of(rest)] }
    }

    /// The shape, with `images` as batch size.
    pub fn sides(&self, images: i64) -> Vec<i64> {
        let side = |a: &Axis| a.len() as i64 * if a.has_images() { images } else { 1 };
        self.axes.iter().map(side).collect()
    }

    /// Axes in another order.
    pub fn transposed(&self, order: &[i64]) -> Option<Self> {
        let mut seen = vec![false; self.axes.len()];
        let axes = order.iter().map(|at| {
            let at = usize::try_from(*at).ok().filter(|at| *at < seen.len())?;
            (!std::mem::replace(&mut seen[at], true)).then(|| self.axes[at].clone())
        });
        let axes: Option<Vec<Axis>> = axes.collect();
        axes.filter(|axes| axes.len() == self.axes.len()).map(|axes| View { axes })
    }

    /// The same entries in the same order in another shape, one dimension of which may be -1.
    pub fn reshaped(&self, sides: &[i64], images: i64) -> Option<Self> {
        let all = self.sides(images).into_iter().try_fold(1, i64::checked_mul)?;
        let known = sides.iter().copied().filter(|s| *s != -1).try_fold(1, i64::checked_mul)?;
        let open = sides.iter().filter(|s| **s == -1).count();
        if known <= 0 || open > 1 || all % known != 0 || open == 0 && all != known {
            return None;
        }
        let mut parts: Vec<Part> = self.axes.iter().rev().flat_map(|a| a.0.iter().rev().copied()).collect();
        let mut axes = Vec::new();
        for side in sides {
            let (mut left, mut list) = (if *side == -1 { all / known } else { *side }, Vec::new());
            while left > 1 {
                let part = parts.pop()?;
                let len = if let Part::Steps { len, .. } = part { len as i64 } else { images };
                match part {
                    _ if left % len == 0 => {
                        list.push(part);
                        left /= len;
                    }
                    Part::Steps { len, stride } if len as i64 % left == 0 => {
                        let inner = len / left as usize;
                        list.push(Part::Steps { len: left as usize, stride: stride * inner });
                        parts.push(Part::Steps { len: inner, stride });
                        left = 1;
                    }
                    _ => return None,
                }
            }
            axes.push(Axis::of(list));
        }
        parts.is_empty().then_some(View { axes })
    }

    /// The view of a layer of the same pixels with other channels; an axis of all channels stays one.
    pub fn with_channels(&self, c: usize, now: usize) -> Self {
        let channels = Axis::channels(c);
        let place = self.axes.iter().rposition(|a| *a == channels);
        self.with_channels_at(place.unwrap_or(self.axes.len()), c, now)
    }

    /// The same, for the axis that runs through the channels: of a single channel, every axis of one entry does.
    pub fn with_channels_at(&self, place: usize, c: usize, now: usize) -> Self {
        let other = |a: &Axis| a.map(|len, stride| if stride >= c { (len, stride / c * now) } else { (len, stride) });
        let axes = self.axes.iter().enumerate();
        View { axes: axes.map(|(at, a)| if at == place { Axis::channels(now) } else { other(a) }).collect() }
    }

    /// The view of a layer of the same channels with a single pixel.
    pub fn of_one_pixel(&self, c: usize) -> Self {
        let axes = self.axes.iter().map(|a| a.map(|len, stride| if stride >= c { (1, 0) } else { (len, stride) }));
        View { axes: axes.collect() }
    }

    /// For a file that is of one image: no axis runs through the images, whichever reshapes and transposes lie between.
    pub fn of_one_image(self) -> Self {
        let without = |a: Axis| Axis::of(a.0.into_iter().filter(|part| *part != Part::Images));
        View { axes: self.axes.into_iter().map(without).collect() }
    }

    /// Every entry seen once: what is seen again and again is one entry.
    pub fn once(&self) -> Self {
        View {
            axes: self.axes.iter().map(|a| a.map(|len, stride| (if stride == 0 { 1 } else { len }, stride))).collect(),
        }
    }

    /// The entry of `[h, w, c]` that every place has, in the view's order.
    pub fn order(&self) -> Vec<usize> {
        let mut places = vec![0];
        for part in self.axes.iter().flat_map(|a| &a.0) {
            if let Part::Steps { len, stride } = *part {
                places = places.iter().flat_map(|p| (0..len).map(move |k| p + k * stride)).collect();
            }
        }
        places
    }

    /// The shape as text.
    pub fn words(&self) -> String {
        words(&self.sides(IMAGES))
    }
}

/// A shape as text, `n` for a dynamic batch size.
pub fn words(sides: &[i64]) -> String {
    let word = |side: &i64| match (side / IMAGES, side % IMAGES) {
        (1, 0) => "n".to_owned(),
        (k, 0) if k > 1 => format!("n * {k}"),
        _ => side.to_string(),
    };
    sides.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_taken_apart_and_put_together() {
        let shape = Shape::new(2, 3, 12);
        let tokens = View::planes(shape).reshaped(&[-1, 12, 6], IMAGES).unwrap().transposed(&[0, 2, 1]).unwrap();
        assert_eq!(tokens.axes, [Axis::images(), Axis::pixels(shape), Axis::channels(12)]);
        let parts = tokens.reshaped(&[IMAGES, 6, 3, 2, 2], IMAGES).unwrap().transposed(&[2, 0, 3, 1, 4]).unwrap();
        assert_eq!(parts.axes[0], Axis::steps(3, 4));
        assert_eq!(parts.sides(IMAGES), [3, IMAGES, 2, 6, 2]);
        let back = parts.transposed(&[1, 3, 0, 2, 4]).unwrap().reshaped(&[-1, 6, 12], IMAGES).unwrap();
        assert_eq!(back, tokens);
        // Images between tokens and heads, and all of them in one axis.
        let merged = tokens.transposed(&[1, 0, 2]).unwrap().reshaped(&[6, -1, 4], IMAGES).unwrap();
        assert_eq!(merged.sides(IMAGES), [6, 3 * IMAGES, 4]);
        assert_eq!(merged.reshaped(&[6, IMAGES, 12], IMAGES).unwrap().transposed(&[1, 0, 2]).unwrap(), tokens);
        assert_eq!(tokens.reshaped(&[-1, 7, 12], IMAGES), None);
        assert_eq!(tokens.reshaped(&[-1, 4, 18], IMAGES).map(|v| v.sides(IMAGES)), None);
    }

    #[test]
    fn every_place_knows_its_entry() {
        let shape = Shape::new(1, 2, 3);
        assert_eq!(View::planes(shape).order(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(View::flat(shape).order(), [0, 3, 1, 4, 2, 5]);
    }
}
