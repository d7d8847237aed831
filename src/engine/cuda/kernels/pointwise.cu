// Every number once.

struct Apply {
    Source from;
    float* to;
    unsigned len;
    int c;
};

// to = from; both may be one plane.
extern "C" __global__ void apply(Apply p) {
    const unsigned at = blockIdx.x * THREADS + threadIdx.x;
    if (at < p.len) p.to[at] = read(p.from, at, at % p.c);
}

struct Carry {
    Incoming from;
    Source mask;
    const float* factor;  // one number
    const float* gain;    // [c]
    float* to;
    unsigned len;
    int c, accumulate;
};

// to (+)= from, times a factor and a gain where there are some; where there is a mask, at places where that is positive.
extern "C" __global__ void carry(Carry p) {
    const unsigned at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= p.len) return;
    const int channel = at % p.c;
    float v = read(p.from, at, channel);
    if (p.factor) v *= *p.factor;
    if (p.gain) v *= p.gain[channel];
    if (p.mask.values && !(read(p.mask, at, channel) > 0.f)) v = 0.f;
    store(&p.to[at], v, p.accumulate);
}

struct Fill {
    float* to;
    unsigned len;
    float value;
};

extern "C" __global__ void fill(Fill p) {
    const unsigned at = blockIdx.x * THREADS + threadIdx.x;
    if (at < p.len) p.to[at] = p.value;
}
