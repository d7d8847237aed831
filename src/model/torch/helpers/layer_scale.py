class LayerScale(nn.Module):
    """A learned factor of every channel (Touvron et al. 2021, CaiT)."""

    def __init__(self, channels, init):
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), init))

    def forward(self, x):
        return x * self.weight.view(-1, *[1] * (x.dim() - 2))
