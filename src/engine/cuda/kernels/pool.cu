// Pools of any kernel, stride, padding and dilation. What lies outside of the source is not there. Gradients are gathered:
// every number of the source looks for the windows that it lies under, so nothing is added by two threads.

struct Pool {
    const float* x;
    Incoming incoming;
    float* to;
    int n, h, w, c, oh, ow, include_pad, accumulate;
    Window window;
};

struct Place {
    unsigned image;
    int y, x, channel;
};

__device__ __forceinline__ Place place(unsigned i, int h, int w, int c) {
    const unsigned pixel = i / c, row = pixel / w;
    return {row / h, (int)(row % h), (int)(pixel % w), (int)(i % c)};
}

// Calls what is given with every place under the window of output (oy, ox), in raster order.
template <class F> __device__ __forceinline__ void under(const Pool& p, int oy, int ox, F f) {
    for (int ky = 0; ky < p.window.kernel_h; ky++) {
        const int y = oy * p.window.stride_h - p.window.pad_h + ky * p.window.dilation_h;
        if (y < 0 || y >= p.h) continue;
        for (int kx = 0; kx < p.window.kernel_w; kx++) {
            const int x = ox * p.window.stride_w - p.window.pad_w + kx * p.window.dilation_w;
            if (x >= 0 && x < p.w) f(y, x);
        }
    }
}

// Calls what is given with every output whose window lies over source place (y, x).
template <class F> __device__ __forceinline__ void over(const Pool& p, int y, int x, F f) {
    for (int ky = 0; ky < p.window.kernel_h; ky++) {
        const int down = y + p.window.pad_h - ky * p.window.dilation_h, oy = down / p.window.stride_h;
        if (down < 0 || down % p.window.stride_h || oy >= p.oh) continue;
        for (int kx = 0; kx < p.window.kernel_w; kx++) {
            const int right = x + p.window.pad_w - kx * p.window.dilation_w, ox = right / p.window.stride_w;
            if (right >= 0 && right % p.window.stride_w == 0 && ox < p.ow) f(oy, ox);
        }
    }
}

__device__ __forceinline__ float share(const Pool& p, int oy, int ox) {
    int count = p.window.kernel_h * p.window.kernel_w;
    if (!p.include_pad) {
        count = 0;
        under(p, oy, ox, [&](int, int) { count++; });
    }
    return 1.f / count;
}

__device__ __forceinline__ float lowest() { return -3.402823466e38f; }

extern "C" __global__ void max_forward(Pool p) {
    const unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= (unsigned)p.n * p.oh * p.ow * p.c) return;
    const Place at = place(i, p.oh, p.ow, p.c);
    const float* x = p.x + (size_t)at.image * p.h * p.w * p.c + at.channel;
    float most = lowest();
    under(p, at.y, at.x, [&](int sy, int sx) {
        const float v = x[(sy * p.w + sx) * p.c];
        if (!(v <= most)) most = v;
    });
    p.to[i] = most;
}

// The whole gradient goes to the first largest value in raster order.
extern "C" __global__ void max_backward(Pool p) {
    const unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= (unsigned)p.n * p.h * p.w * p.c) return;
    const Place at = place(i, p.h, p.w, p.c);
    const float* x = p.x + (size_t)at.image * p.h * p.w * p.c + at.channel;
    float sum = 0.f;
    over(p, at.y, at.x, [&](int oy, int ox) {
        float most = lowest();
        int first = -1;
        under(p, oy, ox, [&](int sy, int sx) {
            const float v = x[(sy * p.w + sx) * p.c];
            if (first < 0 || v > most) {
                most = v;
                first = sy * p.w + sx;
            }
        });
        if (first == at.y * p.w + at.x)
            sum += read(p.incoming, ((at.image * p.oh + oy) * p.ow + ox) * p.c + at.channel, at.channel);
    });
    store(&p.to[i], sum, p.accumulate);
}

extern "C" __global__ void avg_forward(Pool p) {
    const unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= (unsigned)p.n * p.oh * p.ow * p.c) return;
    const Place at = place(i, p.oh, p.ow, p.c);
    const float* x = p.x + (size_t)at.image * p.h * p.w * p.c + at.channel;
    float sum = 0.f;
    under(p, at.y, at.x, [&](int sy, int sx) { sum += x[(sy * p.w + sx) * p.c]; });
    p.to[i] = sum * share(p, at.y, at.x);
}

extern "C" __global__ void avg_backward(Pool p) {
    const unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= (unsigned)p.n * p.h * p.w * p.c) return;
    const Place at = place(i, p.h, p.w, p.c);
    float sum = 0.f;
    over(p, at.y, at.x, [&](int oy, int ox) {
        const unsigned from = ((at.image * p.oh + oy) * p.ow + ox) * p.c + at.channel;
        sum = fmaf(read(p.incoming, from, at.channel), share(p, oy, ox), sum);
    });
    store(&p.to[i], sum, p.accumulate);
}

// The mean over all pixels of image blockIdx.y.
extern "C" __global__ void global_forward(Pool p) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x, area = p.h * p.w;
    const float* x = p.x + (size_t)blockIdx.y * area * p.c + channel;
    float sum = 0.f;
    if (channel < p.c)
        for (int pixel = threadIdx.y; pixel < area; pixel += blockDim.y) sum += x[(size_t)pixel * p.c];
    sum = sum_rows(sum);
    if (threadIdx.y == 0 && channel < p.c) p.to[blockIdx.y * p.c + channel] = sum * (1.f / area);
}

// Every pixel gets an equal share.
extern "C" __global__ void global_backward(Pool p) {
    const unsigned i = blockIdx.x * THREADS + threadIdx.x, area = p.h * p.w;
    if (i >= p.n * area * p.c) return;
    const int channel = i % p.c;
    const float v = read(p.incoming, i / (area * p.c) * p.c + channel, channel);
    store(&p.to[i], v * (1.f / area), p.accumulate);
}
