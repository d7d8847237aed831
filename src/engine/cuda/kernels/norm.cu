// Batch normalisation in pieces: an image's sums, what becomes of them over the batch, and the running statistics. Applying
// it is other kernels' part. Source: Ioffe and Szegedy 2015; images are merged in order and in double precision (Chan et
// al. 1983).

struct Norm {
    const float* x;
    const float* dy;
    float* images;         // of every image two numbers a channel, [n, 2, c]
    const float* weight;   // [c], none is 1
    const float* bias;     // [c]
    float* running;        // mean and variance, [2, c]
    const float* factor;   // what dy still has to be multiplied by; one number
    float* stats;          // mean and variance, [2, c]
    float* affine;         // scale and shift
    float* unit;           // xhat = x unit[0] + unit[1]
    float* line;           // gain, slope and level of the backward pass, [3, c]
    float* sums;           // sum dy, sum dy xhat
    float* dweight;
    float* dbias;
    int n, area, c, in_place, batch_statistics;
    float epsilon, momentum;
};

// Mean and sum of squared deviations of image blockIdx.y. Deviations from the first pixel are added up, which loses nothing as
// long as that lies within a few deviations of the mean.
extern "C" __global__ void moments(Norm p) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const float* x = p.x + (size_t)blockIdx.y * p.area * p.c + channel;
    float first = 0.f, sum = 0.f, squares = 0.f;
    if (channel < p.c) {
        first = x[0];
        for (int pixel = threadIdx.y; pixel < p.area; pixel += blockDim.y) {
            const float d = x[(size_t)pixel * p.c] - first;
            sum += d;
            squares = fmaf(d, d, squares);
        }
    }
    sum = sum_rows(sum);
    squares = sum_rows(squares);
    if (threadIdx.y == 0 && channel < p.c) {
        float* to = p.images + blockIdx.y * 2 * p.c + channel;
        const float off = sum / p.area, left = squares - off * sum;
        to[0] = first + off;
        to[p.c] = left < 0.f ? 0.f : left;
    }
}

// Sum of dy and of dy xhat of image blockIdx.y.
extern "C" __global__ void gradient_sums(Norm p) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const size_t image = (size_t)blockIdx.y * p.area * p.c + channel;
    float sum = 0.f, dot = 0.f;
    if (channel < p.c) {
        const float unit = p.unit[channel], offset = p.unit[p.c + channel];
        for (int pixel = threadIdx.y; pixel < p.area; pixel += blockDim.y) {
            const size_t at = image + (size_t)pixel * p.c;
            const float g = p.dy[at];
            sum += g;
            dot = fmaf(fmaf(p.x[at], unit, offset), g, dot);
        }
    }
    sum = sum_rows(sum);
    dot = sum_rows(dot);
    if (threadIdx.y == 0 && channel < p.c) {
        float* to = p.images + blockIdx.y * 2 * p.c + channel;
        to[0] = sum;
        to[p.c] = dot;
    }
}

__device__ __forceinline__ void fold(const Norm& p, int channel, float mean, float var) {
    const float inverse = 1.f / sqrtf(var + p.epsilon);
    const float scale = (p.weight ? p.weight[channel] : 1.f) * inverse;
    p.stats[channel] = mean;
    p.stats[p.c + channel] = var;
    p.affine[channel] = scale;
    p.affine[p.c + channel] = (p.bias ? p.bias[channel] : 0.f) - mean * scale;
    // One that writes over its input finds xhat there.
    p.unit[channel] = p.in_place ? 1.f : inverse;
    p.unit[p.c + channel] = p.in_place ? 0.f : -mean * inverse;
}

// Running statistics into scale and shift.
extern "C" __global__ void fold_running(Norm p) {
    const int channel = blockIdx.x * THREADS + threadIdx.x;
    if (channel < p.c) fold(p, channel, p.running[channel], p.running[p.c + channel]);
}

// The images' moments into the batch's statistics, scale and shift.
extern "C" __global__ void merge_moments(Norm p) {
    const int channel = blockIdx.x * THREADS + threadIdx.x;
    if (channel >= p.c) return;
    double mean = 0, squares = 0, n = 0;
    for (int image = 0; image < p.n; image++) {
        const float* of = p.images + image * 2 * p.c + channel;
        const double total = n + p.area, delta = of[0] - mean;
        mean += delta * p.area / total;
        squares += of[p.c] + delta * delta * n * p.area / total;
        n = total;
    }
    fold(p, channel, (float)mean, (float)(squares / n));
}

__device__ __forceinline__ float over_images(const Norm& p, int at) {
    double sum = 0;
    for (int image = 0; image < p.n; image++) sum += p.images[image * 2 * p.c + at];
    return (float)sum;
}

// The line of the backward pass, dx = gain dy + slope x + level.
extern "C" __global__ void merge_line(Norm p) {
    const int channel = blockIdx.x * THREADS + threadIdx.x;
    if (channel >= p.c) return;
    const float gain = (p.factor ? *p.factor : 1.f) * p.affine[channel];
    float slope = 0.f, level = 0.f;
    if (p.batch_statistics) {
        const float share = 1.f / ((float)p.n * p.area);
        const float sum = over_images(p, channel), dot = over_images(p, p.c + channel);
        p.sums[channel] = sum;
        p.sums[p.c + channel] = dot;
        slope = -gain * (dot * share) * p.unit[channel];
        level = -gain * (sum * share + dot * share * p.unit[p.c + channel]);
    }
    p.line[channel] = gain;
    p.line[p.c + channel] = slope;
    p.line[2 * p.c + channel] = level;
}

// Gradients of weight and bias.
extern "C" __global__ void gradient_affine(Norm p) {
    const int channel = blockIdx.x * THREADS + threadIdx.x;
    if (channel >= p.c) return;
    const float factor = p.factor ? *p.factor : 1.f;
    p.dbias[channel] = factor * over_images(p, channel);
    p.dweight[channel] = factor * over_images(p, p.c + channel);
}

// Running statistics, moved towards the batch's; the variance is the unbiased one.
extern "C" __global__ void record(Norm p) {
    const int channel = blockIdx.x * THREADS + threadIdx.x;
    if (channel >= p.c) return;
    const double n = (double)p.n * p.area;
    const float unbiased = (float)(n / (n > 2 ? n - 1 : 1)), keep = (float)(1 - (double)p.momentum);
    p.running[channel] = p.running[channel] * keep + p.stats[channel] * p.momentum;
    p.running[p.c + channel] = p.running[p.c + channel] * keep + p.stats[p.c + channel] * unbiased * p.momentum;
}
