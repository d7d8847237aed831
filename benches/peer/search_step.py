#!/usr/bin/env python3
"""What a PyTorch user would run today: the DSARA supernet and its search step, timed.

The peer of `robustnas bench step`, with the same cases. Prints one JSON object a line:
{"case": ..., "ms": median, "images_per_s": ..., "peak_bytes": ..., "device": ..., "threads": ...}.
The peak of memory belongs to the process: for that of one case alone, ask for one case a process.

  python search_step.py --channels 16 --layers 8 --batch 32 --steps 5
Needs only `pip install torch`. Runs on CUDA where there is one (--device cuda).
"""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

import measure

IMPORT_BYTES = measure.resident_bytes()

OPS = ["max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"]


class FactorizedReduce(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.a = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.b = nn.Conv2d(c_in, c_out - c_out // 2, 1, 2, bias=False)
        self.bn = nn.BatchNorm2d(c_out, affine=False)

    def forward(self, x):
        x = F.relu(x)
        return self.bn(torch.cat([self.a(x), self.b(x[:, :, 1:, 1:])], 1))


def relu_conv_bn(c_in, c_out):
    return nn.Sequential(nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out, affine=False))


def make_op(name, c, stride):
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(c, c)
    if name == "max_pool_3x3":
        return nn.Sequential(nn.MaxPool2d(3, stride, 1), nn.BatchNorm2d(c, affine=False))
    if name == "avg_pool_3x3":
        return nn.Sequential(nn.AvgPool2d(3, stride, 1, count_include_pad=False), nn.BatchNorm2d(c, affine=False))
    k = int(name[-1])

    def dw_pw(stride, dilation):
        return [nn.ReLU(), nn.Conv2d(c, c, k, stride, dilation * (k - 1) // 2, dilation, groups=c, bias=False),
                nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c, affine=False)]
    if name.startswith("sep"):
        return nn.Sequential(*dw_pw(stride, 1), *dw_pw(1, 1))
    return nn.Sequential(*dw_pw(stride, 2))


class Cell(nn.Module):
    def __init__(self, c_pp, c_p, c, reduction, previous_reduction, nodes=4):
        super().__init__()
        self.pre0 = FactorizedReduce(c_pp, c) if previous_reduction else relu_conv_bn(c_pp, c)
        self.pre1 = relu_conv_bn(c_p, c)
        self.edges = nn.ModuleList(
            nn.ModuleList(make_op(o, c, 2 if reduction and j < 2 else 1) for o in OPS)
            for i in range(nodes) for j in range(2 + i))
        self.nodes = nodes

    def forward(self, s0, s1, w):
        states, e = [self.pre0(s0), self.pre1(s1)], 0
        for i in range(self.nodes):
            acc = 0
            for s in states[:2 + i]:
                acc = acc + sum(w[e][k] * op(s) for k, op in enumerate(self.edges[e]))
                e += 1
            states.append(acc)
        return torch.cat(states[-self.nodes:], 1)


class Supernet(nn.Module):
    """Accurate cells before the second reduction cell, robust cells after it; stage widths C : 2C : 2C."""

    def __init__(self, c=16, layers=8, classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * c, 3, 1, 1, bias=False), nn.BatchNorm2d(3 * c))
        c_pp, c_p, width, prev, self.kinds = 3 * c, 3 * c, c, False, []
        self.cells = nn.ModuleList()
        for i in range(layers):
            red = i in (layers // 3, 2 * layers // 3)
            if i == layers // 3:
                width *= 2
            self.kinds.append(1 if red else (0 if i < 2 * layers // 3 else 2))
            self.cells.append(Cell(c_pp, c_p, width, red, prev))
            c_pp, c_p, prev = c_p, 4 * width, red
        self.head = nn.Linear(c_p, classes)
        self.alpha = nn.ParameterList(nn.Parameter(1e-3 * torch.randn(14, len(OPS))) for _ in range(3))

    def weights(self):
        names = {id(a) for a in self.alpha}
        return [p for p in self.parameters() if id(p) not in names]

    def forward(self, x):
        w = [F.softmax(a, -1) for a in self.alpha]
        s0 = s1 = self.stem(x)
        for kind, cell in zip(self.kinds, self.cells):
            s0, s1 = s1, cell(s0, s1, w[kind])
        return self.head(s1.mean((2, 3)))


def pgd(model, x, y, steps, eps=8 / 255, alpha=2 / 255):
    adv = (x + torch.empty_like(x).uniform_(-eps, eps)).clamp(0, 1)
    for _ in range(steps):
        adv.requires_grad_(True)
        g, = torch.autograd.grad(F.cross_entropy(model(adv), y), adv)  # input gradient alone
        adv = (x + (adv.detach() + alpha * g.sign() - x).clamp(-eps, eps)).clamp(0, 1)
    return adv.detach()


def min_norm(g1, g2):
    d = g2 - g1
    gamma = ((d @ g2) / (d @ d + 1e-12)).clamp(0, 1)
    return gamma * g1 + (1 - gamma) * g2


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--channels", type=int, default=16)
    ap.add_argument("--layers", type=int, default=8)
    ap.add_argument("--batch", type=int, default=32)
    ap.add_argument("--pgd-steps", type=int, default=7)
    ap.add_argument("--steps", type=int, default=5)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--channels-last", action="store_true")
    ap.add_argument("--amp", action="store_true", help="bfloat16 autocast")
    ap.add_argument("--compile", action="store_true")
    ap.add_argument("--cases", default="forward,weight_step,pgd,first_order_step,second_order_step")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    dev = torch.device(a.device)
    base = Supernet(a.channels, a.layers).to(dev)
    if a.channels_last:
        base = base.to(memory_format=torch.channels_last)
    net = torch.compile(base) if a.compile else base

    def model(x):
        with torch.autocast(dev.type, torch.bfloat16, enabled=a.amp):
            return net(x).float()
    xt, xv = (torch.rand(a.batch, 3, 32, 32, device=dev) for _ in range(2))
    if a.channels_last:
        xt, xv = (t.to(memory_format=torch.channels_last) for t in (xt, xv))
    yt, yv = (torch.randint(10, (a.batch,), device=dev) for _ in range(2))
    ws, alphas = base.weights(), list(base.alpha)
    opt = torch.optim.SGD(ws, 0.025, 0.9, weight_decay=3e-4)
    arch = torch.optim.Adam(alphas, 3e-4, (0.5, 0.999), weight_decay=1e-3)
    flat = lambda gs: torch.cat([g.reshape(-1) for g in gs])
    loss = lambda x, y: F.cross_entropy(model(x), y)
    # A row of few cells has none of a kind, and nothing depends on that kind's choices.
    grad = lambda value, params: torch.autograd.grad(value, params, materialize_grads=True)

    def weight_step(x, y):
        opt.zero_grad(set_to_none=True)
        value = loss(x, y)
        for p, g in zip(ws, grad(value, ws)):
            p.grad = g
        nn.utils.clip_grad_norm_(ws, 5)
        opt.step()

    def arch_step(direction):
        at = 0
        for p in alphas:
            p.grad = direction[at:at + p.numel()].view_as(p)
            at += p.numel()
        arch.step()

    def first_order_step():
        adv_v = pgd(model, xv, yv, a.pgd_steps)
        arch_step(min_norm(flat(grad(loss(xv, yv), alphas)), 0.1 * flat(grad(loss(adv_v, yv), alphas))))
        weight_step(pgd(model, xt, yt, a.pgd_steps), yt)

    def second_order_step():
        adv_t, adv_v = pgd(model, xt, yt, a.pgd_steps), pgd(model, xv, yv, a.pgd_steps)
        lr, gs = 0.025, []
        for x, scale in ((xv, 1.0), (adv_v, 0.1)):
            keep = [p.detach().clone() for p in ws]
            inner = grad(loss(adv_t, yt), ws)
            with torch.no_grad():
                for p, g in zip(ws, inner):
                    p -= lr * (opt.state[p].get("momentum_buffer", torch.zeros_like(p)) * 0.9 + g + 3e-4 * p)
            out = grad(scale * loss(x, yv), alphas + ws)
            d_alpha, v = out[:3], out[3:]
            with torch.no_grad():
                for p, k in zip(ws, keep):
                    p.copy_(k)
            r = 0.01 / flat(v).norm()
            sides = []
            for sign in (1, -1):
                with torch.no_grad():
                    for p, k, dv in zip(ws, keep, v):
                        p.copy_(k + sign * r * dv)
                sides.append(grad(loss(adv_t, yt), alphas))
            with torch.no_grad():
                for p, k in zip(ws, keep):
                    p.copy_(k)
            hvp = [(p - m) / (2 * r) for p, m in zip(*sides)]
            gs.append(flat(d_alpha) - lr * flat(hvp))
        arch_step(min_norm(*gs))
        weight_step(adv_t, yt)

    def forward():
        with torch.no_grad():
            model(xt)

    cases = {"forward": forward, "weight_step": lambda: weight_step(xt, yt),
             "pgd": lambda: pgd(model, xt, yt, a.pgd_steps),
             "first_order_step": first_order_step, "second_order_step": second_order_step}
    sync = torch.cuda.synchronize if dev.type == "cuda" else (lambda: None)
    names = a.cases.split(",")
    if unknown := [name for name in names if name not in cases]:
        ap.error(f"unknown case {unknown[0]}; known: {', '.join(cases)}")
    for name in names:
        measure.line(name, cases[name], a.steps, a.batch, sync, channels=a.channels, layers=a.layers,
                     pgd_steps=a.pgd_steps, params=sum(p.numel() for p in ws), device=str(dev), threads=a.threads,
                     channels_last=a.channels_last, amp=a.amp, compile=a.compile, import_bytes=IMPORT_BYTES)


if __name__ == "__main__":
    main()
