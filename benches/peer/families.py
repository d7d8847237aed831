"""Networks of other families, as a PyTorch user would write them: ViT and RobustResNet."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(d, 3 * d), nn.Linear(d, d), heads

    def forward(self, x):
        n, tokens, d = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, d))


class TokenBlock(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d, 1e-6), nn.LayerNorm(d, 1e-6)
        self.attention = Attention(d, heads)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """A vision transformer for 32x32 images with a class token and learned positions."""

    def __init__(self, d, heads, depth, patch, classes=10):
        super().__init__()
        tokens = (32 // patch) ** 2 + 1
        self.patch = nn.Conv2d(3, d, patch, patch)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, d))
        self.position = nn.Parameter(0.02 * torch.randn(1, tokens, d))
        self.blocks = nn.Sequential(*(TokenBlock(d, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(d, 1e-6), nn.Linear(d, classes)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


class RobustBlock(nn.Module):
    """Eight groups of channels, each convolved with the sum of its own and the group before; residual SE."""

    def __init__(self, c_in, planes, stride):
        super().__init__()
        c, w = 4 * planes, planes // 4
        self.stride = stride
        self.bn1, self.bn2, self.bn_se = nn.BatchNorm2d(c_in), nn.BatchNorm2d(2 * planes), nn.BatchNorm2d(c)
        self.conv1 = nn.Conv2d(c_in, 2 * planes, 1, bias=False)
        convs = (nn.Conv2d(w, w, 3, stride, 1, groups=4, bias=False) for _ in range(7))
        self.convs, self.bns = nn.ModuleList(convs), nn.ModuleList(nn.BatchNorm2d(w) for _ in range(7))
        self.conv3 = nn.Conv2d(2 * planes, c, 1, bias=False)
        self.reduce, self.expand = nn.Linear(c, c // 64, bias=False), nn.Linear(c // 64, c, bias=False)
        self.shortcut = nn.Conv2d(c_in, c, 1, stride, bias=False) if stride != 1 or c_in != c else None

    def forward(self, x):
        shortcut = x if self.shortcut is None else self.shortcut(F.relu(self.bn1(x)))
        parts = F.relu(self.bn2(self.conv1(x))).chunk(8, 1)
        out = []
        for part, conv, bn in zip(parts, self.convs, self.bns):
            part = part + out[-1] if out and self.stride == 1 else part
            out.append(F.relu(bn(conv(part))))
        out.append(parts[7] if self.stride == 1 else F.avg_pool2d(parts[7], 3, self.stride, 1))
        y = self.conv3(torch.cat(out, 1))
        z = self.bn_se(y)
        gate = torch.sigmoid(self.expand(F.relu(self.reduce(z.mean((2, 3))))))
        return y + shortcut + z * gate[:, :, None, None]


def robust_resnet(depths, widths, classes=10):
    layers, c_in = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)], 16
    for s, (blocks, width) in enumerate(zip(depths, widths)):
        for b in range(blocks):
            planes = 16 * width << s
            layers.append(RobustBlock(c_in, planes, 2 if s > 0 and b == 0 else 1))
            c_in = 4 * planes
    head = [nn.BatchNorm2d(c_in), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *head, nn.Linear(c_in, classes))
