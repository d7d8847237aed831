class SinePosition(nn.Module):
    """Sines and cosines of every pixel's position (XCiT, El-Nouby et al. 2021): [n, channels, h, w] for any input."""

    def __init__(self, channels, height, width):
        super().__init__()
        half = channels // 2
        pair = 2 * (torch.arange(half, dtype=torch.float64) // 2)

        def waves(size):
            position = 2 * math.pi * torch.arange(1, size + 1, dtype=torch.float64) / (size + 1e-6)
            angle = position / 10_000 ** (pair / half)[:, None]
            return torch.where(torch.arange(half)[:, None] % 2 == 0, angle.sin(), angle.cos())

        rows = waves(height)[:, :, None].expand(-1, -1, width)
        columns = waves(width)[:, None, :].expand(-1, height, -1)
        self.register_buffer("table", torch.cat([rows, columns]).float(), persistent=False)

    def forward(self, x):
        return self.table.expand(len(x), -1, -1, -1)
