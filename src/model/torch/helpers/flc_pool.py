class FlcPool(nn.Module):
    """Downsampling by two that keeps the low half of the spectrum (FLC pooling, Grabinski et al. 2022).

    With `hamming` the spectrum is first weighted with the root of a Hamming window (ASAP, Grabinski et al. 2023).
    """

    def __init__(self, hamming=False):
        super().__init__()
        self.hamming = hamming

    def forward(self, x):
        spectrum = torch.fft.fftshift(torch.fft.fft2(x, norm="forward"), dim=(2, 3))
        for axis in (2, 3):
            n = x.shape[axis]
            if self.hamming:
                window = torch.hamming_window(n, periodic=False, dtype=x.dtype, device=x.device).sqrt()
                spectrum = spectrum * (window[:, None] if axis == 2 else window)
            kept = 3 * n // 4 - n // 4
            spectrum = spectrum.narrow(axis, n // 2 - kept // 2, kept)
        return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(2, 3)), norm="forward").real
