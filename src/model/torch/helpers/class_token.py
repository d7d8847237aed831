class ClassToken(nn.Module):
    """A learned token in front of the pixels: [n, c, h, w] to [n, c, 1, 1 + h w] (Dosovitskiy et al. 2021)."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(channels))

    def forward(self, x):
        token = self.weight.view(1, -1, 1, 1).expand(len(x), -1, -1, -1)
        return torch.cat([token, x.flatten(2).unsqueeze(2)], 3)
