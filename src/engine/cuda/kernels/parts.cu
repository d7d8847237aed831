// Sums over a whole batch: parts of fixed size, then the parts in their order.

struct Parts {
    const float* parts;  // [count, len]
    float* to;
    unsigned len;
    int count;
};

// to = the sum of the parts, in double precision.
extern "C" __global__ void add_parts(Parts p) {
    const unsigned at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= p.len) return;
    double sum = 0;
    for (int part = 0; part < p.count; part++) sum += p.parts[(size_t)part * p.len + at];
    p.to[at] = (float)sum;
}

struct Columns {
    Incoming from;
    float* to;  // [parts, c]
    unsigned pixels, run;
    int c;
};

// The sum over the pixels of a part, channel by channel.
extern "C" __global__ void add_pixels(Columns p) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned begin = blockIdx.y * p.run, end = min(begin + p.run, p.pixels);
    float sum = 0.f;
    if (channel < p.c)
        for (unsigned pixel = begin + threadIdx.y; pixel < end; pixel += blockDim.y)
            sum += read(p.from, pixel * p.c + channel, channel);
    sum = sum_rows(sum);
    if (threadIdx.y == 0 && channel < p.c) p.to[blockIdx.y * p.c + channel] = sum;
}
