// Depthwise convolution and its two gradients. KERNEL_H, KERNEL_W: the window's.

struct Depthwise {
    Source source;        // [n, h, w, c], before cropping
    Incoming incoming;    // [n, oh, ow, c]
    const float* weight;  // [kh, kw, c]
    const float* bias;    // [c]
    float* to;
    unsigned run;         // pixels of a part of the weight gradient
    int n, h, w, c, oh, ow, crop_h, crop_w, accumulate;
    Window window;
};

// The source's place under tap (ky, kx) of an output pixel, if there is one.
__device__ __forceinline__ bool tap(const Depthwise& s, unsigned image, int oy, int ox, int ky, int kx, unsigned* pixel) {
    const int y = oy * s.window.stride_h - s.window.pad_h + ky * s.window.dilation_h;
    const int x = ox * s.window.stride_w - s.window.pad_w + kx * s.window.dilation_w;
    *pixel = (image * s.h + y + s.crop_h) * s.w + x + s.crop_w;
    return y >= 0 && y < s.h - s.crop_h && x >= 0 && x < s.w - s.crop_w;
}

extern "C" __global__ void depthwise_forward(Depthwise s) {
    const unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= (unsigned)s.n * s.oh * s.ow * s.c) return;
    const unsigned channel = i % s.c, pixel = i / s.c, row = pixel / s.ow;
    float sum = s.bias ? s.bias[channel] : 0.f;
#pragma unroll
    for (int ky = 0; ky < KERNEL_H; ky++)
#pragma unroll
        for (int kx = 0; kx < KERNEL_W; kx++) {
            unsigned at;
            if (tap(s, row / s.oh, row % s.oh, pixel % s.ow, ky, kx, &at))
                sum = fmaf(read(s.source, at * s.c + channel, channel), s.weight[(ky * KERNEL_W + kx) * s.c + channel], sum);
        }
    s.to[i] = sum;
}

extern "C" __global__ void depthwise_input_gradient(Depthwise s) {
    const unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= (unsigned)s.n * s.h * s.w * s.c) return;
    const unsigned channel = i % s.c, pixel = i / s.c, row = pixel / s.w, image = row / s.h;
    const int y = (int)(row % s.h) - s.crop_h, x = (int)(pixel % s.w) - s.crop_w;
    float sum = 0.f;
    if (y >= 0 && x >= 0) {
#pragma unroll
        for (int ky = 0; ky < KERNEL_H; ky++)
#pragma unroll
            for (int kx = 0; kx < KERNEL_W; kx++) {
                const int down = y + s.window.pad_h - ky * s.window.dilation_h;
                const int right = x + s.window.pad_w - kx * s.window.dilation_w;
                if (down < 0 || right < 0 || down % s.window.stride_h || right % s.window.stride_w) continue;
                const int oy = down / s.window.stride_h, ox = right / s.window.stride_w;
                if (oy >= s.oh || ox >= s.ow) continue;
                const float g = read(s.incoming, ((image * s.oh + oy) * s.ow + ox) * s.c + channel, channel);
                sum = fmaf(g, s.weight[(ky * KERNEL_W + kx) * s.c + channel], sum);
            }
    }
    if (s.source.relu && !(read(s.source, i, channel) > 0.f)) sum = 0.f;
    store(&s.to[i], sum, s.accumulate);
}

// Tap blockIdx.y, part blockIdx.z of the pixels, into to [parts, kh, kw, c].
extern "C" __global__ void depthwise_weight_gradient(Depthwise s) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned begin = blockIdx.z * s.run, end = min(begin + s.run, (unsigned)s.n * s.oh * s.ow);
    float sum = 0.f;
    if (channel < s.c)
        for (unsigned pixel = begin + threadIdx.y; pixel < end; pixel += blockDim.y) {
            const unsigned row = pixel / s.ow;
            unsigned at;
            if (tap(s, row / s.oh, row % s.oh, pixel % s.ow, blockIdx.y / KERNEL_W, blockIdx.y % KERNEL_W, &at))
                sum = fmaf(read(s.source, at * s.c + channel, channel), read(s.incoming, pixel * s.c + channel, channel), sum);
        }
    sum = sum_rows(sum);
    if (threadIdx.y == 0 && channel < s.c)
        s.to[((size_t)blockIdx.z * KERNEL_H * KERNEL_W + blockIdx.y) * s.c + channel] = sum;
}
