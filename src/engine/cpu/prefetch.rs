//! Which step fetches what later ones read.
//!
//! A segment's steps are run in a circle, once for every few images. A step's plane is either still in the cache, because a
//! step shortly before touched it, or has to come from memory; then a step before it that computes long enough is asked to
//! fetch it meanwhile.

/// A buffer's number and its scalars.
type Buffer = (usize, usize);

/// What a step does to memory.
#[derive(Clone, Debug, Default)]
pub struct Touch {
    /// What it reads.
    pub reads: Vec<Buffer>,
    /// What it writes.
    pub writes: Vec<Buffer>,
    /// Scalars that it has the time to fetch.
    pub time: usize,
}

/// A buffer to fetch, and whether it is that of the images that come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Its number.
    pub buffer: usize,
    /// Not of the images that are worked on, but of the next ones.
    pub next: bool,
}

/// For every step what it fetches. What is touched stays in the cache until `cache` other scalars were.
pub fn prefetches(steps: &[Touch], cache: usize) -> Vec<Vec<Fetch>> {
    let count = steps.len();
    let buffers = steps.iter().flat_map(|s| s.reads.iter().chain(&s.writes)).map(|b| b.0 + 1).max().unwrap_or(0);
    let mut prefetches = vec![Vec::new(); count];
    let mut time: Vec<usize> = steps.iter().map(|s| s.time).collect();
    // The circle and scalars touched so far when a buffer was touched last, and when a turn began.
    let (mut touched, mut begins, mut volume) = (vec![None; buffers], Vec::new(), 0);
    // Twice around: the first steps' planes are fetched by the last ones of the circle before.
    for turn in 0..2 * count {
        let (circle, step) = (turn / count, &steps[turn % count]);
        begins.push(volume);
        for (buffer, len) in step.reads.iter().copied() {
            let before = touched[buffer].replace((circle, volume)).filter(|(c, _)| *c == circle);
            let cold = before.is_none_or(|(_, when)| volume - when > cache);
            if before.is_none() {
                volume += len;
            }
            if circle == 0 || !cold {
                continue;
            }
            let mut near = (0..turn).rev().take_while(|t| volume - begins[*t] < cache);
            if let Some(earlier) = near.find(|t| time[t % count] >= len) {
                time[earlier % count] -= len;
                prefetches[earlier % count].push(Fetch { buffer, next: earlier < count });
            }
        }
        for (buffer, len) in step.writes.iter().copied() {
            touched[buffer] = Some((circle, volume));
            volume += len;
        }
    }
    prefetches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(reads: &[Buffer], writes: &[Buffer], time: usize) -> Touch {
        Touch { reads: reads.to_vec(), writes: writes.to_vec(), time }
    }

    #[test]
    fn what_is_not_in_the_cache_is_fetched_by_a_step_before() {
        // The first reads 0 and makes 1, which the second still finds; 2 is cold, and so is 0 of the next images.
        let steps = [touch(&[(0, 10)], &[(1, 10)], 20), touch(&[(1, 10), (2, 10)], &[(3, 10)], 0)];
        let [fetch, next] = [Fetch { buffer: 2, next: false }, Fetch { buffer: 0, next: true }];
        assert_eq!(prefetches(&steps, 100), [vec![next, fetch], vec![]]);
        // Time for one alone.
        let hurried = [Touch { time: 10, ..steps[0].clone() }, steps[1].clone()];
        assert_eq!(prefetches(&hurried, 100), [vec![next], vec![]]);
    }

    #[test]
    fn what_would_be_gone_again_is_not_fetched() {
        let steps = [touch(&[], &[(0, 10)], 100), touch(&[], &[(1, 200)], 0), touch(&[(2, 10)], &[], 0)];
        assert_eq!(prefetches(&steps, 100), vec![vec![]; 3]);
        assert_eq!(prefetches(&steps, 300)[0], [Fetch { buffer: 2, next: false }]);
    }

    #[test]
    fn no_steps_fetch_nothing() {
        assert!(prefetches(&[], 100).is_empty());
    }
}
