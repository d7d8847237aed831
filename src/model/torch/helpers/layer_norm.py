class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation of every pixel over its channels (Liu et al. 2022, ConvNeXt)."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
