// Numbers that go from one plane's places to another's.

struct Channels {
    Incoming from;
    float* to;
    unsigned pixels;
    int c, from_width, from_at, to_width, to_at, accumulate;
};

// to[.., to_at + k] (+)= from[.., from_at + k] for c channels of every pixel.
extern "C" __global__ void move_channels(Channels p) {
    const unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= p.pixels * p.c) return;
    const unsigned pixel = i / p.c, k = i % p.c;
    const float v = read(p.from, pixel * p.from_width + p.from_at + k, p.from_at + k);
    store(&p.to[pixel * p.to_width + p.to_at + k], v, p.accumulate);
}

struct Shift {
    Incoming from;
    float* to;
    int n, from_h, from_w, to_h, to_w, c, down, right, accumulate;
};

// to[y, x] (+)= from[y + down, x + right], zero outside of it: a crop where they are positive, its transpose where not.
extern "C" __global__ void shift(Shift p) {
    const unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= (unsigned)p.n * p.to_h * p.to_w * p.c) return;
    const int channel = i % p.c;
    const unsigned pixel = i / p.c, row = pixel / p.to_w, image = row / p.to_h;
    const int x = (int)(pixel % p.to_w) + p.right, y = (int)(row % p.to_h) + p.down;
    float v = 0.f;
    if (x >= 0 && x < p.from_w && y >= 0 && y < p.from_h)
        v = read(p.from, ((image * p.from_h + y) * p.from_w + x) * p.c + channel, channel);
    store(&p.to[i], v, p.accumulate);
}
