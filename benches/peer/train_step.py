#!/usr/bin/env python3
"""What a PyTorch user would run today: one adversarial training step of a residual or a derived network, timed.

The peer of `robustnas bench train`: the same networks by the same names (preact-resnet:18, wrn:depth=28,width=10,
dsara:FILE,channels=36,layers=8, vit:tiny-4, robust-resnet:depths=2-2-1,widths=5-7-3, the arch.json of a derived network),
the same methods (standard, n-fgsm, pgd-10, trades) with the same constants, the same fields in its line of JSON.

  python train_step.py --net preact-resnet:18 --method n-fgsm --batch 128 --channels-last
"""
import argparse
import ast
import json
import re

import torch
import torch.nn as nn
import torch.nn.functional as F

import families
import measure

IMPORT_BYTES = measure.resident_bytes()
EPS, STEP, BETA = 8 / 255, 2 / 255, 6.0


class Block(nn.Module):
    """BN-ReLU-conv-BN-ReLU-conv; where the shape changes, the shortcut is a 1x1 convolution of the first ReLU."""

    def __init__(self, c_in, c, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(c_in), nn.BatchNorm2d(c)
        self.conv1 = nn.Conv2d(c_in, c, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(c, c, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(c_in, c, 1, stride, bias=False) if stride != 1 or c_in != c else None

    def forward(self, x):
        pre = F.relu(self.bn1(x), inplace=True)
        y = self.conv2(F.relu(self.bn2(self.conv1(pre)), inplace=True))
        return y + (x if self.shortcut is None else self.shortcut(pre))


def residual(stem, stages, classes=10):
    """A pre-activation residual network; stages are (blocks, channels), each but the first halves the size."""
    layers, c_in = [nn.Conv2d(3, stem, 3, 1, 1, bias=False)], stem
    for s, (blocks, c) in enumerate(stages):
        for b in range(blocks):
            layers.append(Block(c_in, c, 2 if s > 0 and b == 0 else 1))
            c_in = c
    head = [nn.BatchNorm2d(c_in), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *head, nn.Linear(c_in, classes))


class FactorizedReduce(nn.Module):
    def __init__(self, c_in, c):
        super().__init__()
        self.a = nn.Conv2d(c_in, c // 2, 1, 2, bias=False)
        self.b = nn.Conv2d(c_in, c - c // 2, 1, 2, bias=False)
        self.bn = nn.BatchNorm2d(c)

    def forward(self, x):
        x = F.relu(x)
        return self.bn(torch.cat([self.a(x), self.b(x[:, :, 1:, 1:])], 1))


def relu_conv_bn(c_in, c):
    return nn.Sequential(nn.ReLU(), nn.Conv2d(c_in, c, 1, bias=False), nn.BatchNorm2d(c))


def operation(name, c, stride):
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(c, c)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    kind, k = name[:3], int(name[-1])

    def separable(stride, dilation):
        return [nn.ReLU(), nn.Conv2d(c, c, k, stride, dilation * (k - 1) // 2, dilation, groups=c, bias=False),
                nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c)]
    return nn.Sequential(*separable(stride, 2)) if kind == "dil" else \
        nn.Sequential(*separable(stride, 1), *separable(1, 1))


class Cell(nn.Module):
    """Two edges a node, the outputs of all nodes side by side."""

    def __init__(self, edges, c_pp, c_p, c, reduction, previous_reduction):
        super().__init__()
        self.pre0 = FactorizedReduce(c_pp, c) if previous_reduction else relu_conv_bn(c_pp, c)
        self.pre1 = relu_conv_bn(c_p, c)
        self.sources = [source for _, source in edges]
        self.ops = nn.ModuleList(operation(o, c, 2 if reduction and source < 2 else 1) for o, source in edges)

    def forward(self, s0, s1):
        states = [self.pre0(s0), self.pre1(s1)]
        terms = zip(self.sources, self.ops)
        for (a, f), (b, g) in zip(terms, terms):
            states.append(f(states[a]) + g(states[b]))
        return torch.cat(states[2:], 1)


class Derived(nn.Module):
    """A genotype's cells in a row: (kind, channels, whether it halves the size)."""

    def __init__(self, genotype, stem, cells, classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, 1, 1, bias=False), nn.BatchNorm2d(stem))
        c_pp, c_p, previous = stem, stem, False
        self.cells = nn.ModuleList()
        for kind, width, reduction in cells:
            edges = genotype[kind]
            self.cells.append(Cell(edges, c_pp, c_p, width, reduction, previous))
            c_pp, c_p, previous = c_p, len(edges) // 2 * width, reduction
        self.head = nn.Linear(c_p, classes)

    def forward(self, x):
        s0 = s1 = self.stem(x)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        return self.head(s1.mean((2, 3)))


def dsara(layers, c):
    """DSARA's placement: accurate cells before the second reduction, robust ones after; C : 2C : 2C."""
    first, second = layers // 3, 2 * layers // 3
    for i in range(layers):
        kind = "reduce" if i in (first, second) else ("accurate" if i < second else "robust")
        yield kind, c if i < first else 2 * c, kind == "reduce"


def read_arch(path):
    """A derived network's arch.json."""
    with open(path) as file:
        arch = json.load(file)
    genotype = {cell["kind"]: [(edge["op"], edge["from"]) for node in cell["nodes"] for edge in node]
                for cell in arch["genotype"]}
    skeleton = arch["skeleton"]
    cells = [(cell["kind"], cell["channels"], cell["reduction"]) for cell in skeleton["cells"]]
    return Derived(genotype, skeleton["stem"], cells, skeleton["classes"])


def read_genotype(path):
    """The lists of `Genotype(accurate=[...], ...)`, a file in the form of the DARTS literature."""
    with open(path) as file:
        call = ast.parse(file.read()).body[0].value
    return {k.arg: ast.literal_eval(k.value) for k in call.keywords if not k.arg.endswith("_concat")}


def network(name):
    form, _, rest = name.partition(":")
    numbers = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", rest)}
    if form == "preact-resnet":
        if rest.split(",")[0] != "18":
            raise SystemExit(f"--net {name}: the peer knows preact-resnet:18")
        c = numbers.get("width", 64)
        return residual(c, [(2, c), (2, 2 * c), (2, 4 * c), (2, 8 * c)])
    if form == "wrn":
        blocks, k = (numbers["depth"] - 4) // 6, numbers["width"]
        return residual(16, [(blocks, 16 * k), (blocks, 32 * k), (blocks, 64 * k)])
    if form == "dsara":
        c = numbers["channels"]
        return Derived(read_genotype(rest.split(",")[0]), 3 * c, dsara(numbers["layers"], c))
    if name.endswith(".json"):
        return read_arch(name)
    if name == "vit:tiny-4":
        return families.ViT(192, 3, 12, 4)
    if form == "robust-resnet":
        lists = {key: list(map(int, value.split("-"))) for key, value in re.findall(r"(\w+)=([\d-]+)", rest)}
        return families.robust_resnet(lists["depths"], lists["widths"])
    raise SystemExit(f"--net {name}: expected preact-resnet:18, wrn:depth=28,width=10, "
                     "dsara:FILE,channels=36,layers=8, vit:tiny-4, robust-resnet:depths=2-2-1,widths=5-7-3 "
                     "or a derived network's arch.json")


def clip(x, clean):
    return (clean + (x - clean).clamp(-EPS, EPS)).clamp(0, 1)


def input_gradient(loss, x):
    x.requires_grad_(True)
    gradient, = torch.autograd.grad(loss(x), x)  # input gradient alone
    x.requires_grad_(False)
    return gradient


def ascend(loss, start, clean, steps):
    x = start
    for _ in range(steps):
        x = clip(x + STEP * input_gradient(loss, x).sign(), clean)
    return x


def step_loss(model, method, x, y):
    """The loss of one training step; PGD and TRADES attack on running statistics."""
    if method == "standard":
        return F.cross_entropy(model(x), y)
    if method == "n-fgsm":
        noisy = x + torch.empty_like(x).uniform_(-2 * EPS, 2 * EPS)
        gradient = input_gradient(lambda z: F.cross_entropy(model(z), y), noisy)
        return F.cross_entropy(model((noisy + EPS * gradient.sign()).clamp(0, 1)), y)
    model.eval()
    if method == "trades":
        with torch.no_grad():
            clean = F.softmax(model(x), 1)
        apart = lambda z: F.kl_div(F.log_softmax(model(z), 1), clean, reduction="sum")
        attacked = ascend(apart, x + 0.001 * torch.randn_like(x), x, 10)
    else:
        start = (x + torch.empty_like(x).uniform_(-EPS, EPS)).clamp(0, 1)
        attacked = ascend(lambda z: F.cross_entropy(model(z), y), start, x, int(method.removeprefix("pgd-")))
    model.train()
    if method != "trades":
        return F.cross_entropy(model(attacked), y)
    clean, moved = model(x), model(attacked)
    apart = F.kl_div(F.log_softmax(moved, 1), F.softmax(clean, 1), reduction="batchmean")
    return F.cross_entropy(clean, y) + BETA * apart


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--net", required=True)
    ap.add_argument("--method", required=True, help="standard, n-fgsm, pgd-STEPS or trades")
    ap.add_argument("--batch", type=int, default=128)
    ap.add_argument("--steps", type=int, default=5)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--channels-last", action="store_true")
    ap.add_argument("--compile", action="store_true")
    a = ap.parse_args()
    if not re.fullmatch(r"standard|n-fgsm|pgd-[1-9]\d*|trades", a.method):
        ap.error(f"unknown method {a.method}; known: standard, n-fgsm, pgd-STEPS (such as pgd-10), trades")
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last if a.channels_last else torch.contiguous_format
    base = network(a.net).to(a.device, memory_format=layout)
    model = torch.compile(base) if a.compile else base
    x = torch.rand(a.batch, 3, 32, 32, device=a.device).to(memory_format=layout)
    y = torch.randint(10, (a.batch,), device=a.device)
    opt = torch.optim.SGD(base.parameters(), 0.1, 0.9, weight_decay=5e-4)

    def step():
        loss = step_loss(model, a.method, x, y)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(base.parameters(), 5)
        opt.step()

    sync = torch.cuda.synchronize if torch.device(a.device).type == "cuda" else (lambda: None)
    measure.line(a.method, step, a.steps, a.batch, sync, net=a.net, method=a.method,
                 params=sum(p.numel() for p in base.parameters()), device=a.device, threads=a.threads,
                 channels_last=a.channels_last, compile=a.compile, import_bytes=IMPORT_BYTES)


if __name__ == "__main__":
    main()
