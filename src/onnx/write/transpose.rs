//! Weights from the engine's layouts to those of ONNX.

/// A convolution's `[rows, columns, in, out]` as `[out, in, rows, columns]`.
pub fn convolution(values: &[f32], [rows, columns, fan, out]: [usize; 4]) -> Vec<f32> {
    let mut turned = Vec::with_capacity(values.len());
    for o in 0..out {
        for i in 0..fan {
            for tap in 0..rows * columns {
                turned.push(values[(tap * fan + i) * out + o]);
            }
        }
    }
    turned
}

/// `[pixels, channels]` as `[channels, pixels]`; also a matrix `[in, out]` as `[out, in]`.
pub fn planes(values: &[f32], channels: usize) -> Vec<f32> {
    (0..channels).flat_map(|c| values.iter().skip(c).step_by(channels.max(1)).copied()).collect()
}
