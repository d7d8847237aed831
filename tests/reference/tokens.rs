//! Operations of token networks, and normalisations within an image.

use robustnas::arch::op::Shape;

/// Some entries that are normalised, or share one, together.
pub type Group = Vec<usize>;

/// Every pixel's channels.
pub fn pixels(x: Shape) -> Vec<Group> {
    (0..x.area()).map(|p| (p * x.c..(p + 1) * x.c).collect()).collect()
}

/// All pixels of a run of channels.
pub fn channel_groups(x: Shape, groups: usize) -> Vec<Group> {
    let run = x.c / groups;
    let of = |g: usize| (0..x.area()).flat_map(|p| (0..run).map(move |i| p * x.c + g * run + i)).collect();
    (0..groups).map(of).collect()
}

/// Every pixel's channels `k`, `k + step`, ..
pub fn alternatives(x: Shape, over: usize) -> Vec<Group> {
    let step = x.c / over;
    (0..x.area()).flat_map(|p| (0..step).map(move |k| (k..x.c).step_by(step).map(|i| p * x.c + i).collect())).collect()
}

/// Mean and one over the deviation of a group.
fn moments(x: &[f64], group: &Group, epsilon: f64) -> (f64, f64) {
    let n = group.len() as f64;
    let mean = group.iter().map(|i| x[*i]).sum::<f64>() / n;
    let var = group.iter().map(|i| (x[*i] - mean).powi(2)).sum::<f64>() / n;
    (mean, 1.0 / (var + epsilon).sqrt())
}

/// `(x - mean) / sqrt(var + epsilon)` within every group.
pub fn normalize(x: &[f64], groups: &[Group], epsilon: f64) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for group in groups {
        let (mean, inverse) = moments(x, group, epsilon);
        group.iter().for_each(|i| y[*i] = (x[*i] - mean) * inverse);
    }
    y
}

/// The gradient of [`normalize`] from that of what came out.
pub fn normalize_backward(x: &[f64], groups: &[Group], epsilon: f64, dy: &[f64], dx: &mut [f64]) {
    let y = normalize(x, groups, epsilon);
    for group in groups {
        let (_, inverse) = moments(x, group, epsilon);
        let n = group.len() as f64;
        let sum = group.iter().map(|i| dy[*i]).sum::<f64>() / n;
        let product = group.iter().map(|i| dy[*i] * y[*i]).sum::<f64>() / n;
        group.iter().for_each(|i| dx[*i] = inverse * (dy[*i] - sum - y[*i] * product));
    }
}

/// Shares of one within every group.
pub fn softmax(x: &[f64], groups: &[Group]) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for group in groups {
        let most = group.iter().map(|i| x[*i]).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = group.iter().map(|i| (x[*i] - most).exp()).sum();
        group.iter().for_each(|i| y[*i] = (x[*i] - most).exp() / sum);
    }
    y
}

/// The gradient of [`softmax`] from the shares `y`.
pub fn softmax_backward(y: &[f64], groups: &[Group], dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; y.len()];
    for group in groups {
        let mean: f64 = group.iter().map(|i| y[*i] * dy[*i]).sum();
        group.iter().for_each(|i| dx[*i] = y[*i] * (dy[*i] - mean));
    }
    dx
}

/// A dense matrix, row-major.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    cols: usize,
    values: Vec<f64>,
}

impl Matrix {
    fn of(rows: usize, cols: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        Matrix { rows, cols, values: (0..rows * cols).map(|i| entry(i / cols, i % cols)).collect() }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.cols + column]
    }

    fn t(&self) -> Matrix {
        Matrix::of(self.cols, self.rows, |r, c| self.at(c, r))
    }

    fn times(&self, other: &Matrix) -> Matrix {
        assert_eq!(self.cols, other.rows);
        Matrix::of(self.rows, other.cols, |r, c| (0..self.cols).map(|k| self.at(r, k) * other.at(k, c)).sum())
    }

    fn scaled(mut self, by: f64) -> Matrix {
        self.values.iter_mut().for_each(|v| *v *= by);
        self
    }

    /// Shares of one in every row.
    fn shares(&self) -> Matrix {
        Matrix { values: softmax(&self.values, &self.row_groups()), ..self.clone() }
    }

    /// The gradient of [`Matrix::shares`], of which this is the result.
    fn shares_backward(&self, d: &Matrix) -> Matrix {
        Matrix { values: softmax_backward(&self.values, &self.row_groups(), &d.values), ..self.clone() }
    }

    fn row_groups(&self) -> Vec<Group> {
        (0..self.rows).map(|r| (r * self.cols..(r + 1) * self.cols).collect()).collect()
    }
}

/// A head's channels of a plane `[tokens, c]`, from channel `first` on.
#[derive(Clone, Copy)]
struct Lines {
    c: usize,
    first: usize,
    width: usize,
}

impl Lines {
    fn get(self, plane: &[f64]) -> Matrix {
        Matrix::of(plane.len() / self.c, self.width, |t, i| plane[t * self.c + self.first + i])
    }

    fn add(self, plane: &mut [f64], from: &Matrix) {
        for t in 0..from.rows {
            for i in 0..self.width {
                plane[t * self.c + self.first + i] += from.at(t, i);
            }
        }
    }
}

/// Attention with queries, keys and values in one plane or in two.
pub struct Attention {
    pub d: usize,
    pub heads: usize,
    /// Whether queries stand apart.
    pub apart: bool,
}

impl Attention {
    /// Queries, keys, values, and where the result goes.
    fn lines(&self, head: usize) -> [Lines; 4] {
        let width = self.d / self.heads;
        let first = head * width;
        let line = |c, part: usize| Lines { c, first: part * self.d + first, width };
        match self.apart {
            true => [line(self.d, 0), line(2 * self.d, 0), line(2 * self.d, 1), line(self.d, 0)],
            false => [line(3 * self.d, 0), line(3 * self.d, 1), line(3 * self.d, 2), line(self.d, 0)],
        }
    }

    fn scale(&self) -> f64 {
        1.0 / ((self.d / self.heads) as f64).sqrt()
    }

    pub fn forward(&self, inputs: &[&[f64]]) -> Vec<f64> {
        let (of_q, of_kv) = (inputs[0], inputs[inputs.len() - 1]);
        let tokens = of_q.len() / self.lines(0)[0].c;
        let mut y = vec![0.0; tokens * self.d];
        for head in 0..self.heads {
            let [q, k, v, to] = self.lines(head);
            let shares = q.get(of_q).times(&k.get(of_kv).t()).scaled(self.scale()).shares();
            to.add(&mut y, &shares.times(&v.get(of_kv)));
        }
        y
    }

    pub fn backward(&self, inputs: &[&[f64]], dy: &[f64], dx: &mut [Vec<f64>]) {
        let (of_q, of_kv, last) = (inputs[0], inputs[inputs.len() - 1], inputs.len() - 1);
        for head in 0..self.heads {
            let [of_queries, of_keys, of_values, to] = self.lines(head);
            let (q, k, v) = (of_queries.get(of_q), of_keys.get(of_kv), of_values.get(of_kv));
            let (dy, shares) = (to.get(dy), q.times(&k.t()).scaled(self.scale()).shares());
            let dlogits = shares.shares_backward(&dy.times(&v.t())).scaled(self.scale());
            of_queries.add(&mut dx[0], &dlogits.times(&k));
            of_keys.add(&mut dx[last], &dlogits.t().times(&q));
            of_values.add(&mut dx[last], &shares.t().times(&dy));
        }
    }
}

/// Attention of channels to channels; a length below 1e-12 counts as that.
pub struct CrossCovariance {
    pub d: usize,
    pub heads: usize,
}

/// Columns of unit length, and the lengths.
fn unit(x: &Matrix) -> (Matrix, Vec<f64>) {
    let length = |i: usize| (0..x.rows).map(|t| x.at(t, i).powi(2)).sum::<f64>().sqrt().max(1e-12);
    let lengths: Vec<f64> = (0..x.cols).map(length).collect();
    (Matrix::of(x.rows, x.cols, |t, i| x.at(t, i) / lengths[i]), lengths)
}

/// The gradient of [`unit`].
fn unit_backward(x: &Matrix, d: &Matrix) -> Matrix {
    let (hat, lengths) = unit(x);
    let along: Vec<f64> = (0..x.cols).map(|i| (0..x.rows).map(|t| hat.at(t, i) * d.at(t, i)).sum()).collect();
    Matrix::of(x.rows, x.cols, |t, i| (d.at(t, i) - hat.at(t, i) * along[i]) / lengths[i])
}

impl CrossCovariance {
    fn lines(&self, head: usize) -> [Lines; 4] {
        Attention { d: self.d, heads: self.heads, apart: false }.lines(head)
    }

    pub fn forward(&self, x: &[f64], temperature: &[f64]) -> Vec<f64> {
        let mut y = vec![0.0; x.len() / 3];
        for (head, t) in temperature.iter().enumerate() {
            let [q, k, v, to] = self.lines(head);
            let shares = unit(&q.get(x)).0.t().times(&unit(&k.get(x)).0).scaled(*t).shares();
            to.add(&mut y, &v.get(x).times(&shares.t()));
        }
        y
    }

    pub fn backward(&self, x: &[f64], temperature: &[f64], dy: &[f64], dx: &mut [f64], dtemperature: &mut [f64]) {
        for (head, t) in temperature.iter().enumerate() {
            let [of_q, of_k, of_v, to] = self.lines(head);
            let (q, k, v, dy) = (of_q.get(x), of_k.get(x), of_v.get(x), to.get(dy));
            let (q_hat, k_hat) = (unit(&q).0, unit(&k).0);
            let alike = q_hat.t().times(&k_hat);
            let shares = alike.clone().scaled(*t).shares();
            let dlogits = shares.shares_backward(&dy.t().times(&v));
            dtemperature[head] += dlogits.values.iter().zip(&alike.values).map(|(d, a)| d * a).sum::<f64>();
            of_v.add(dx, &dy.times(&shares));
            of_q.add(dx, &unit_backward(&q, &k_hat.times(&dlogits.t()).scaled(*t)));
            of_k.add(dx, &unit_backward(&k, &q_hat.times(&dlogits).scaled(*t)));
        }
    }
}
