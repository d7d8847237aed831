// What every file of kernels has in front of it. Planes are [n, h, w, c] in f32; places in them are counted in 32 bits.
// Structures are those of the Rust file of the same name, field by field.
#pragma once

constexpr int THREADS = 256;  // of a block, where a kernel says nothing else

// A plane to read: normalised where there is a scale, then rectified where that is asked for.
struct Source {
    const float* values;
    const float* scale;  // [c]
    const float* shift;  // [c]
    int relu;
};

// What is no number stays none, so a buffer that is read behind its life spoils the result.
__device__ __forceinline__ float read(const Source& s, unsigned at, int channel) {
    float v = s.values[at];
    if (s.scale) v = fmaf(v, s.scale[channel], s.shift[channel]);
    return s.relu && v < 0.f ? 0.f : v;
}

// The gradient that reaches an operation's output: what stands in memory, times a factor, or through the line of the
// batch-norm behind the operation, whose input is the output itself.
struct Incoming {
    const float* dy;
    const float* factor;  // one number
    const float* line;    // gain, slope and level: [3, c]
    const float* x;       // without it slope and level are 0
    int c;
};

__device__ __forceinline__ float read(const Incoming& g, unsigned at, int channel) {
    float v = g.dy[at];
    if (g.line) {
        float level = g.x ? fmaf(g.x[at], g.line[g.c + channel], g.line[2 * g.c + channel]) : 0.f;
        v = fmaf(v, g.line[channel], level);
    }
    return g.factor ? v * *g.factor : v;
}

struct Window {
    int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
};

__device__ __forceinline__ void store(float* to, float v, int accumulate) { *to = accumulate ? *to + v : v; }

// The sum over the rows of a block of [rows, columns] threads, both powers of two, THREADS in all; every thread gets its
// column's. The order is that of the rows, whatever runs first.
__device__ __forceinline__ float sum_rows(float v) {
    __shared__ float of[THREADS];
    const int row = threadIdx.y, at = row * blockDim.x + threadIdx.x;
    of[at] = v;
    __syncthreads();
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        if (row < half) of[at] += of[at + half * blockDim.x];
        __syncthreads();
    }
    const float sum = of[threadIdx.x];
    __syncthreads();
    return sum;
}
