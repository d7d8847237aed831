"""preact-resnet:18,width=4.

Network 178aada069b1670d, written by robustnas VERSION.
44,510 parameters, 2,273,600 multiply-accumulates an image (conv-linear-macs/1).
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


class Block(nn.Module):
    """Used as stage0.block0, stage0.block1, stage1.block1 and 2 more."""

    def __init__(self, channels):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x):
        relu1 = F.relu(self.bn1(x))
        relu2 = F.relu(self.bn2(self.conv1(relu1)))
        return self.conv2(relu2) + x


class Block2(nn.Module):
    """Used as stage1.block0, stage2.block0, stage3.block0."""

    def __init__(self, channels):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Conv2d(channels, 2 * channels, 1, stride=2, bias=False)
        self.conv1 = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * channels)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, bias=False)

    def forward(self, x):
        x = F.relu(self.bn1(x))
        relu2 = F.relu(self.bn2(self.conv1(x)))
        return self.conv2(relu2) + self.shortcut(x)


class Head(nn.Module):
    """Used as head."""

    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(32)
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        x = F.relu(self.bn(x))
        return self.fc(x.mean((2, 3)))


class Stage(nn.Module):
    """Used as stage0."""

    def __init__(self):
        super().__init__()
        self.block0 = Block(4)
        self.block1 = Block(4)

    def forward(self, x):
        x = self.block0(x)
        return self.block1(x)


class Stage2(nn.Module):
    """Used as stage1, stage2, stage3."""

    def __init__(self, channels):
        super().__init__()
        self.block0 = Block2(channels)
        self.block1 = Block(2 * channels)

    def forward(self, x):
        x = self.block0(x)
        return self.block1(x)


class Net(nn.Module):
    """Pixels [n, 3, 32, 32] in [0, 1] to logits [n, 10]."""

    def __init__(self):
        super().__init__()
        self.stem = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 3, padding=1, bias=False)})
        self.stage0 = Stage()
        self.stage1 = Stage2(4)
        self.stage2 = Stage2(8)
        self.stage3 = Stage2(16)
        self.head = Head()

    def forward(self, x):
        x = self.stage0(self.stem["conv"](x))
        x = self.stage1(x)
        x = self.stage2(x)
        x = self.stage3(x)
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
