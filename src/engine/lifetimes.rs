//! When buffers are alive, from the order in which a plan is executed.
//!
//! Between two borders ([`Span`]) the first images take all steps before the next ones take the first. So only a buffer that no
//! other span touches is dead, for every image, when its last step is done; one that crosses a border is alive, for some
//! image, during the whole of every span that it is touched in, and between them.

use super::arena::{BufferId, Lifetimes};

/// A stretch of execution that images take one after the other, or a computation over the whole batch, which is one step:
/// what each step touches.
pub type Span = Vec<Vec<BufferId>>;

/// When a buffer holds nothing any more that is read later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Never: it is a result.
    None,
    /// For an image as soon as it has taken a step.
    Step { span: usize, step: usize },
    /// For all images at the end of a span.
    Span(usize),
}

/// Marks when every buffer is alive; returns the end of each. `results` are read when everything is done.
pub fn mark(lifetimes: &mut Lifetimes, spans: &[Span], results: &[BufferId]) -> Vec<Death> {
    let count = lifetimes.len();
    let (mut home, mut crosses, mut deaths) = (vec![None; count], vec![false; count], vec![Death::None; count]);
    for (s, span) in spans.iter().enumerate() {
        for (k, buffer) in span.iter().enumerate().flat_map(|(k, step)| step.iter().map(move |b| (k, b.index()))) {
            crosses[buffer] |= *home[buffer].get_or_insert(s) != s;
            deaths[buffer] = if crosses[buffer] { Death::Span(s) } else { Death::Step { span: s, step: k } };
        }
    }
    for buffer in results {
        (crosses[buffer.index()], deaths[buffer.index()]) = (true, Death::None);
    }
    let mut begin = 0;
    for span in spans {
        let end = begin + span.len().max(1);
        for (k, step) in span.iter().enumerate() {
            for buffer in step {
                if crosses[buffer.index()] {
                    lifetimes.touch(*buffer, begin);
                    lifetimes.touch(*buffer, end - 1);
                } else {
                    lifetimes.touch(*buffer, begin + k);
                }
            }
        }
        begin = end;
    }
    for buffer in results {
        lifetimes.touch(*buffer, begin);
    }
    deaths
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read in the middle of the second span, written in the first; the second's own buffers may not take its place before
    /// or behind that read, since other images still need it or have it already.
    #[test]
    fn what_crosses_a_border_lives_through_the_span() {
        let mut lifetimes = Lifetimes::default();
        let [a, b, c, d] = [(); 4].map(|()| lifetimes.declare(16));
        let spans = [vec![vec![a]], vec![vec![b], vec![a, b], vec![c]], vec![vec![d]]];
        let deaths = mark(&mut lifetimes, &spans, &[d]);
        assert_eq!(
            deaths,
            [Death::Span(1), Death::Step { span: 1, step: 1 }, Death::Step { span: 1, step: 2 }, Death::None]
        );
        let (places, len) = lifetimes.place();
        assert!(
            places[c.index()].start != places[a.index()].start && places[b.index()].start != places[a.index()].start
        );
        // `b` and `c` are alone in their span and never together.
        assert_eq!((places[b.index()].start, len), (places[c.index()].start, 32));
    }
}
