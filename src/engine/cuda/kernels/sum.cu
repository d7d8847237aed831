// Weighted sums of planes, and the gradients of their weights.

constexpr int TERMS = 16;  // of a launch

struct Term {
    const float* values;
    const float* scale;   // of a batch-norm that is applied on the way, [c]
    const float* shift;
    const float* weight;  // one number; none is 1
    float* total;         // where the weight's gradient is added up
};

struct Sum {
    Term terms[TERMS];
    Incoming incoming;
    float* to;
    unsigned len, run, parts;
    int c, count, accumulate;
};

__device__ __forceinline__ float read(const Term& t, unsigned at, int channel) {
    const float v = t.values[at];
    return t.scale ? fmaf(v, t.scale[channel], t.shift[channel]) : v;
}

// to (+)= the sum of weight * term, in the order of the terms.
extern "C" __global__ void weighted_sum(Sum p) {
    const unsigned at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= p.len) return;
    const int channel = at % p.c;
    float sum = p.accumulate ? p.to[at] : 0.f;
    for (int t = 0; t < p.count; t++)
        sum = fmaf(p.terms[t].weight ? *p.terms[t].weight : 1.f, read(p.terms[t], at, channel), sum);
    p.to[at] = sum;
}

// Of term blockIdx.y and part blockIdx.x of the numbers: sum term * incoming, into to [count, parts].
extern "C" __global__ void dots(Sum p) {
    const unsigned begin = blockIdx.x * p.run, end = min(begin + p.run, p.len);
    float sum = 0.f;
    for (unsigned at = begin + threadIdx.y; at < end; at += THREADS) {
        const int channel = at % p.c;
        sum = fmaf(read(p.terms[blockIdx.y], at, channel), read(p.incoming, at, channel), sum);
    }
    sum = sum_rows(sum);
    if (threadIdx.y == 0) p.to[blockIdx.y * p.parts + blockIdx.x] = sum;
}

// Adds every term's parts to its total, in order; several terms may have one total.
extern "C" __global__ void add_dots(Sum p) {
    __shared__ float of[TERMS];
    if (threadIdx.x < p.count) {
        double sum = 0;
        for (unsigned part = 0; part < p.parts; part++) sum += p.to[threadIdx.x * p.parts + part];
        of[threadIdx.x] = (float)sum;
    }
    __syncthreads();
    if (threadIdx.x == 0)
        for (int t = 0; t < p.count; t++)
            if (p.terms[t].total) *p.terms[t].total += of[t];
}
