class MultiBatchNorm(nn.Module):
    """Batch normalisations side by side of which `branch` names the one in use (Xie et al. 2020).

    Each has statistics, a scale and a shift of its own, for example for clean and for adversarial images.
    """

    def __init__(self, branches, channels):
        super().__init__()
        self.branch = 0
        self.weight = nn.Parameter(torch.ones(branches, channels))
        self.bias = nn.Parameter(torch.zeros(branches, channels))
        for branch in range(branches):
            statistics = nn.Module()
            statistics.register_buffer("running_mean", torch.zeros(channels))
            statistics.register_buffer("running_var", torch.ones(channels))
            self.add_module(str(branch), statistics)

    def forward(self, x):
        own = self.get_submodule(str(self.branch))
        weight, bias = self.weight[self.branch], self.bias[self.branch]
        return F.batch_norm(x, own.running_mean, own.running_var, weight, bias, self.training, momentum=0.1, eps=1e-5)
