// Dense and grouped convolution and its two gradients as one implicit matrix product in tiles: patches are never gathered in
// memory, a tile of them is read into shared memory as it is needed. COLUMNS: of a tile, 16, 32 or 64.

struct Convolution {
    Source source;          // [n, h, w, c], before cropping
    Incoming incoming;      // [n, oh, ow, out]
    const float* weight;    // [kh, kw, c / groups, out]
    const float* bias;      // [out]
    float* to;
    unsigned run;           // pixels of a part of the weight gradient
    int n, h, w, c, oh, ow, out, groups, crop_h, crop_w, accumulate;
    Window window;
};

// Rows of a tile, the square of it that a thread makes, and terms of a step: in narrow tiles, whose few threads read many rows
// each, so few that the rows' places fit into registers.
constexpr int ROWS = 64, OWN = 4, TERMS = COLUMNS > 16 ? 16 : 8;
constexpr int ACROSS = COLUMNS / OWN, WORKERS = ACROSS * (ROWS / OWN);

// A matrix product [rows, columns] over terms [begin, end): what P says of its two factors, and where a result goes. ALONG:
// whether neighbouring terms of the first factor are neighbours in memory; otherwise its rows are.
template <class P> __device__ __forceinline__ void product(const P& p, int rows, int columns, int begin, int end) {
    __shared__ float left[TERMS][ROWS + OWN], right[TERMS][COLUMNS];
    const int tid = threadIdx.x, first_row = blockIdx.x * ROWS, first_column = blockIdx.y * COLUMNS;
    constexpr int READS = ROWS * TERMS / WORKERS;
    typename P::Row places[READS];
#pragma unroll
    for (int j = 0; j < READS; j++) {
        const int i = tid + j * WORKERS;
        places[j] = p.row(first_row + (P::ALONG ? i / TERMS : i % ROWS));
    }
    float sums[OWN][OWN] = {};
    const int down = tid / ACROSS * OWN, across = tid % ACROSS * OWN;
    for (int term = begin; term < end; term += TERMS) {
#pragma unroll
        for (int j = 0; j < READS; j++) {
            const int i = tid + j * WORKERS;
            const int row = P::ALONG ? i / TERMS : i % ROWS, k = P::ALONG ? i % TERMS : i / ROWS;
            left[k][row] = first_row + row < rows && term + k < end ? p.left(places[j], term + k) : 0.f;
        }
#pragma unroll
        for (int i = tid; i < TERMS * COLUMNS; i += WORKERS) {
            const int k = i / COLUMNS, column = i % COLUMNS;
            right[k][column] = first_column + column < columns && term + k < end ? p.right(term + k, first_column + column) : 0.f;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < TERMS; k++)
#pragma unroll
            for (int a = 0; a < OWN; a++)
#pragma unroll
                for (int b = 0; b < OWN; b++) sums[a][b] = fmaf(left[k][down + a], right[k][across + b], sums[a][b]);
        __syncthreads();
    }
#pragma unroll
    for (int a = 0; a < OWN; a++)
#pragma unroll
        for (int b = 0; b < OWN; b++)
            if (first_row + down + a < rows && first_column + across + b < columns)
                p.finish(first_row + down + a, first_column + across + b, sums[a][b]);
}

// What the source holds under tap (ky, kx) of an output pixel, whose window begins at (y, x) of the cropped source.
struct Corner {
    unsigned image;
    int y, x;
};

__device__ __forceinline__ Corner corner(const Convolution& s, int pixel) {
    const int row = pixel / s.ow, oy = row % s.oh, ox = pixel % s.ow;
    return {(unsigned)(row / s.oh), oy * s.window.stride_h - s.window.pad_h, ox * s.window.stride_w - s.window.pad_w};
}

__device__ __forceinline__ float tap(const Convolution& s, const Corner& at, int tap, int channel) {
    const int y = at.y + tap / s.window.kernel_w * s.window.dilation_h;
    const int x = at.x + tap % s.window.kernel_w * s.window.dilation_w;
    if (y < 0 || y >= s.h - s.crop_h || x < 0 || x >= s.w - s.crop_w) return 0.f;
    return read(s.source, ((at.image * s.h + y + s.crop_h) * s.w + x + s.crop_w) * s.c + channel, channel);
}

// Rows are output pixels, terms (tap, input channel), columns output channels.
struct Forward {
    static constexpr bool ALONG = true;
    using Row = Corner;
    const Convolution& s;
    int group, inputs, outputs;
    __device__ Row row(int pixel) const { return corner(s, pixel); }
    __device__ float left(const Row& at, int k) const { return tap(s, at, k / inputs, group * inputs + k % inputs); }
    __device__ float right(int k, int column) const { return s.weight[(size_t)k * s.out + group * outputs + column]; }
    __device__ void finish(int pixel, int column, float sum) const {
        const int channel = group * outputs + column;
        s.to[(size_t)pixel * s.out + channel] = s.bias ? sum + s.bias[channel] : sum;
    }
};

// Rows are source pixels, terms (tap, output channel), columns input channels.
struct InputGradient {
    static constexpr bool ALONG = true;
    struct Row {
        unsigned image;
        int y, x;
        bool there;
    };
    const Convolution& s;
    int group, inputs, outputs;
    __device__ Row row(int pixel) const {
        const int line = pixel / s.w, y = line % s.h - s.crop_h, x = pixel % s.w - s.crop_w;
        return {(unsigned)(line / s.h), y + s.window.pad_h, x + s.window.pad_w, y >= 0 && x >= 0};
    }
    __device__ float left(const Row& at, int k) const {
        const int tap = k / outputs, channel = group * outputs + k % outputs;
        const int y = at.y - tap / s.window.kernel_w * s.window.dilation_h;
        const int x = at.x - tap % s.window.kernel_w * s.window.dilation_w;
        if (!at.there || y < 0 || x < 0 || y % s.window.stride_h || x % s.window.stride_w) return 0.f;
        const int oy = y / s.window.stride_h, ox = x / s.window.stride_w;
        if (oy >= s.oh || ox >= s.ow) return 0.f;
        return read(s.incoming, ((at.image * s.oh + oy) * s.ow + ox) * s.out + channel, channel);
    }
    __device__ float right(int k, int column) const {
        return s.weight[((size_t)(k / outputs) * inputs + column) * s.out + group * outputs + k % outputs];
    }
    __device__ void finish(int pixel, int column, float sum) const {
        const int channel = group * inputs + column;
        const unsigned at = (unsigned)pixel * s.c + channel;
        if (s.source.relu && !(read(s.source, at, channel) > 0.f)) sum = 0.f;
        store(&s.to[at], sum, s.accumulate);
    }
};

// Rows are (tap, input channel), terms the output pixels of a part, columns output channels.
struct WeightGradient {
    static constexpr bool ALONG = false;
    struct Row {
        int tap, channel;
    };
    const Convolution& s;
    float* to;
    int group, inputs, outputs;
    __device__ Row row(int i) const { return {i / inputs, group * inputs + i % inputs}; }
    __device__ float left(const Row& row, int pixel) const { return tap(s, corner(s, pixel), row.tap, row.channel); }
    __device__ float right(int pixel, int column) const {
        const int channel = group * outputs + column;
        return read(s.incoming, (unsigned)pixel * s.out + channel, channel);
    }
    __device__ void finish(int i, int column, float sum) const { to[(size_t)i * s.out + group * outputs + column] = sum; }
};

extern "C" __global__ void __launch_bounds__(WORKERS) conv_forward(Convolution s) {
    const Forward p{s, (int)blockIdx.z, s.c / s.groups, s.out / s.groups};
    product(p, s.n * s.oh * s.ow, p.outputs, 0, s.window.kernel_h * s.window.kernel_w * p.inputs);
}

extern "C" __global__ void __launch_bounds__(WORKERS) conv_input_gradient(Convolution s) {
    const InputGradient p{s, (int)blockIdx.z, s.c / s.groups, s.out / s.groups};
    product(p, s.n * s.h * s.w, p.inputs, 0, s.window.kernel_h * s.window.kernel_w * p.outputs);
}

// Part blockIdx.z / groups of the pixels, into to [parts, kh, kw, c / groups, out].
extern "C" __global__ void __launch_bounds__(WORKERS) conv_weight_gradient(Convolution s) {
    const int part = blockIdx.z / s.groups, pixels = s.n * s.oh * s.ow, begin = part * s.run;
    const int inputs = s.c / s.groups, rows = s.window.kernel_h * s.window.kernel_w * inputs;
    const WeightGradient p{s, s.to + (size_t)part * rows * s.out, (int)(blockIdx.z % s.groups), inputs, s.out / s.groups};
    product(p, rows, p.outputs, begin, min(begin + (int)s.run, pixels));
}
