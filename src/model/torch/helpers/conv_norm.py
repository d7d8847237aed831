class ConvNorm(nn.Module):
    """Convolution whose spectrum is made flat, every output channel by itself (ConvNorm, Liu et al. 2021).

    The full convolution is divided, in the frequency domain, by the root of the summed power of the channel's kernels;
    then come padding and stride. No gradient passes through the divisor. In evaluation its running average is used.
    """

    BATCHES = 40_000  # over which the share of a batch in the average falls, along half a cosine
    LEAST = 1e-9  # the smallest power of a frequency, as a share of the mean power

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, *, size):
        super().__init__()
        pair = lambda n: (n, n) if isinstance(n, int) else n
        self.kernel_size, self.stride, self.padding = pair(kernel_size), pair(stride), pair(padding)
        rows, columns = self.kernel_size
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, rows, columns))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        # Of an image of `size` = (rows, columns); one number a channel is enough for a single tap.
        self.full = (1, 1) if rows * columns == 1 else (size[0] + rows - 1, size[1] + columns - 1)
        frequencies = (self.full[0], self.full[1] // 2 + 1, out_channels)
        self.register_buffer("running_amplitude", torch.ones(frequencies))
        self.register_buffer("running_batches", torch.zeros(1))

    @torch.no_grad()
    def measure(self):
        """The inverse amplitudes [out, frequencies] of the weights, which enter the running average."""
        power = torch.fft.rfft2(self.weight, s=self.full).abs().square().sum(1)
        mean = self.weight.square().sum((1, 2, 3))[:, None, None]
        least = (self.LEAST * mean).clamp_min(torch.finfo(mean.dtype).tiny)
        inverse = torch.maximum(power, least).rsqrt()
        passed = min(self.running_batches.item(), self.BATCHES) / self.BATCHES
        share = max(0.5 * (1 + math.cos(math.pi * passed)), 0.01)
        self.running_amplitude.mul_(1 - share).add_(share * inverse.permute(1, 2, 0))
        self.running_batches.add_(1)
        return inverse

    def forward(self, x):
        rows, columns = self.kernel_size
        inverse = self.measure() if self.training else self.running_amplitude.permute(2, 0, 1)
        x = F.conv2d(x, self.weight, padding=(rows - 1, columns - 1))
        if rows * columns == 1:
            x = x * inverse
        else:
            x = torch.fft.irfft2(torch.fft.rfft2(x) * inverse, s=x.shape[2:])
        top, left = rows - 1 - self.padding[0], columns - 1 - self.padding[1]
        x = x[:, :, top : x.shape[2] - top, left : x.shape[3] - left]
        return x[:, :, :: self.stride[0], :: self.stride[1]]
