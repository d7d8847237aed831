"""darts:search_spaces/genotypes/DARTS_V2.txt,channels=4,layers=3.

Network ed0757b87fdaba0f, written by robustnas VERSION.
2,858 parameters, 1,442,432 multiply-accumulates an image (conv-linear-macs/1).
Pixels [n, 3, 32, 32] in [0, 1] to logits [n, 10].

`build()` makes the network with fresh weights, `load("weights.safetensors")` with those written beside this file;
`save` writes what was trained. Run by itself, it compares its answers with those it had when it was written.
"""

import ctypes
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


class Stem(nn.Module):
    """Used as stem."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(12)

    def forward(self, x):
        return self.bn(self.conv(x))


class Pre(nn.Module):
    """Used as cell0.normal.pre0, cell0.normal.pre1, cell1.reduce.pre0 and 2 more."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        x = F.relu(x)
        return self.bn(self.conv(x))


class SepConv3x3(nn.Module):
    """Used as cell0.normal.node2.0.sep_conv_3x3, cell0.normal.node2.1.sep_conv_3x3 and 3 more."""

    def __init__(self):
        super().__init__()
        self.depthwise1 = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.pointwise1 = nn.Conv2d(4, 4, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.depthwise2 = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.pointwise2 = nn.Conv2d(4, 4, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4)

    def forward(self, x):
        x = F.relu(x)
        x = F.relu(self.bn1(self.pointwise1(self.depthwise1(x))))
        return self.bn2(self.pointwise2(self.depthwise2(x)))


class DilConv3x3(nn.Module):
    """Used as cell0.normal.node5.1.dil_conv_3x3."""

    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4, bias=False)
        self.pointwise = nn.Conv2d(4, 4, 1, bias=False)
        self.bn = nn.BatchNorm2d(4)

    def forward(self, x):
        x = F.relu(x)
        return self.bn(self.pointwise(self.depthwise(x)))


class Pre2(nn.Module):
    """Used as cell2.reduce.pre0."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(16, 8, 1, stride=2, bias=False)
        self.conv2 = nn.Conv2d(16, 8, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(16)

    def forward(self, x):
        x = F.relu(x)
        x = torch.cat([self.conv1(x), self.conv2(x[:, :, 1:, 1:])], 1)
        return self.bn(x)


class Head(nn.Module):
    """Used as head."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(x.mean((2, 3)))


class Normal(nn.Module):
    """Used as cell0.normal."""

    def __init__(self):
        super().__init__()
        self.pre0 = Pre(12, 4)
        self.pre1 = Pre(12, 4)
        self.node2 = nn.ModuleList([
            nn.ModuleDict({"sep_conv_3x3": SepConv3x3()}),
            nn.ModuleDict({"sep_conv_3x3": SepConv3x3()}),
        ])
        self.node3 = nn.ModuleList([
            nn.ModuleDict({"sep_conv_3x3": SepConv3x3()}),
            nn.ModuleDict({"sep_conv_3x3": SepConv3x3()}),
        ])
        self.node4 = nn.ModuleList([nn.ModuleDict({"sep_conv_3x3": SepConv3x3()})])
        self.node5 = nn.ModuleDict({"1": nn.ModuleDict({"dil_conv_3x3": DilConv3x3()})})

    def forward(self, x):
        pre0 = self.pre0(x)
        x = self.pre1(x)
        node2 = self.node2[0]["sep_conv_3x3"](pre0) + self.node2[1]["sep_conv_3x3"](x)
        node3 = self.node3[0]["sep_conv_3x3"](pre0) + self.node3[1]["sep_conv_3x3"](x)
        return torch.cat(
            [node2, node3, self.node4[0]["sep_conv_3x3"](x) + pre0, pre0 + self.node5["1"]["dil_conv_3x3"](node2)],
            1,
        )


class Reduce(nn.Module):
    """Used as cell1.reduce."""

    def __init__(self):
        super().__init__()
        self.pre0 = Pre(12, 8)
        self.pre1 = Pre(16, 8)

    def forward(self, x0, x1):
        pre0 = self.pre0(x0)
        pre1 = self.pre1(x1)
        node2 = F.max_pool2d(pre0, 3, 2, padding=1) + F.max_pool2d(pre1, 3, 2, padding=1)
        node3 = node2 + F.max_pool2d(pre1, 3, 2, padding=1)
        node4 = F.max_pool2d(pre0, 3, 2, padding=1) + node2
        node5 = node2 + F.max_pool2d(pre1, 3, 2, padding=1)
        return torch.cat([node2, node3, node4, node5], 1)


class Reduce2(nn.Module):
    """Used as cell2.reduce."""

    def __init__(self):
        super().__init__()
        self.pre0 = Pre2()
        self.pre1 = Pre(32, 16)

    def forward(self, x0, x1):
        pre0 = self.pre0(x0)
        pre1 = self.pre1(x1)
        node2 = F.max_pool2d(pre0, 3, 2, padding=1) + F.max_pool2d(pre1, 3, 2, padding=1)
        node3 = node2 + F.max_pool2d(pre1, 3, 2, padding=1)
        node4 = F.max_pool2d(pre0, 3, 2, padding=1) + node2
        node5 = node2 + F.max_pool2d(pre1, 3, 2, padding=1)
        return torch.cat([node2, node3, node4, node5], 1)


class Net(nn.Module):
    """Pixels [n, 3, 32, 32] in [0, 1] to logits [n, 10]."""

    def __init__(self):
        super().__init__()
        self.stem = Stem()
        self.cell0 = nn.ModuleDict({"normal": Normal()})
        self.cell1 = nn.ModuleDict({"reduce": Reduce()})
        self.cell2 = nn.ModuleDict({"reduce": Reduce2()})
        self.head = Head()

    def forward(self, x):
        x = self.stem(x)
        cell0_normal = self.cell0["normal"](x)
        x = self.cell1["reduce"](x, cell0_normal)
        x = self.cell2["reduce"](cell0_normal, x)
        return self.head(x)


# How many batches a batch normalisation has seen is no weight.
COUNTER = ".num_batches_tracked"


def read_weights(path):
    """The tensors of a safetensors file by their names: a header in JSON behind its length, then the numbers."""
    content = Path(path).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        if name.endswith(COUNTER):
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"{path}: {name} is {entry['dtype']}, expected F32")
        begin, end = entry["data_offsets"]
        numbers = bytearray(content[start + begin : start + end])
        tensors[name] = torch.frombuffer(numbers, dtype=torch.float32).reshape(entry["shape"])
    return tensors


def build():
    """The network with fresh weights."""
    return Net()


def load(path):
    """The network with the weights of a safetensors file, in evaluation mode."""
    net = build()
    net.load_state_dict(read_weights(path))
    return net.eval()


def save(net, path):
    """Writes the weights as a safetensors file, which `load` and robustnas's --weights read."""
    header, parts, end = {"__metadata__": {"layout": "pytorch"}}, [], 0
    for name, tensor in net.state_dict().items():
        if name.endswith(COUNTER):
            continue
        tensor = tensor.detach().to("cpu", torch.float32).contiguous()
        parts.append(ctypes.string_at(tensor.data_ptr(), 4 * tensor.numel()))
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [end, end + len(parts[-1])]}
        end += len(parts[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))


if __name__ == "__main__":
    folder = Path(__file__).parent
    net = load(folder / "weights.safetensors")
    example = read_weights(folder / "example.safetensors")
    with torch.no_grad():
        logits = net(example["pixels"])
    apart = (logits - example["logits"]).abs().max() / example["logits"].abs().max()
    print(f"logits {list(logits.shape)}, apart from robustnas's by at most {apart:.1e} of the largest")
