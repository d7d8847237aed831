class Position(nn.Module):
    """Learned numbers for every entry, added (position embedding, Dosovitskiy et al. 2021); kept as [h, w, c]."""

    def __init__(self, height, width, channels):
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(height, width, channels))

    def forward(self, x):
        return x + self.weight.permute(2, 0, 1)
