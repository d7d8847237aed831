class CrossCovariance(nn.Module):
    """Attention of channels to channels within a head (XCiT, El-Nouby et al. 2021): [n, 3 c, h, w] to [n, c, h, w].

    Queries and keys have unit length over the pixels; every head learns its inverse temperature.
    """

    def __init__(self, heads):
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads))

    def forward(self, x):
        by_head = x.flatten(2).unflatten(1, (3, len(self.temperature), -1))
        queries, keys, values = by_head.unbind(1)
        scores = F.normalize(queries, dim=3) @ F.normalize(keys, dim=3).transpose(2, 3)
        shares = (scores * self.temperature[:, None, None]).softmax(3)
        return (shares @ values).flatten(1, 2).unflatten(2, x.shape[2:])
