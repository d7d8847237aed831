#!/usr/bin/env python3
"""A small network trained adversarially in PyTorch: the peer of `cargo bench --bench learning`.

The same network with the same distribution of first weights (PyTorch's defaults), the same images (those that come first
in the files), method, optimiser, schedule and attack, the same lines of JSON. Random numbers are its own: two runs of one
contestant differ as much as two of different ones.

N-FGSM (de Jorge et al. 2022) on the statistics of the batch: noise within twice the radius, one step of the radius,
clipped to [0, 1] but not to the ball. The attack's statistics are not recorded. Images are cropped out of a border of
four zero pixels and mirrored at random.

  python learning.py --data DIR --seed 0 --json FILE

DIR has train*.parquet and test*.parquet in the Hugging Face image layout. Needs `pip install torch numpy pyarrow pillow`.
"""
import argparse
import io
import json
import math
import sys
import time
from pathlib import Path

import numpy
import torch
import torch.nn as nn
import torch.nn.functional as F

import train_step

EPS, STEP, STEPS, PAD, CLASSES = 8 / 255, 2 / 255, 10, 4, 10
LR, MOMENTUM, DECAY, CLIP = 0.1, 0.9, 5e-4, 5.0


def images(folder, half, n):
    """The first n images of a half as bytes [n, h, w, c], and their labels."""
    import PIL.Image
    import pyarrow.parquet as parquet

    files = sorted(Path(folder).rglob(f"{half}*.parquet"))
    if not files:
        sys.exit(f"--data {folder}: no {half}*.parquet in it")
    rows = []
    for file in files:
        if len(rows) < n:
            rows += parquet.read_table(file).slice(0, n - len(rows)).to_pylist()
    if len(rows) < n:
        sys.exit(f"--data {folder}: {n} {half} images are asked for, it has {len(rows)}")
    picture = "img" if "img" in rows[0] else "image"
    pixels = [numpy.asarray(PIL.Image.open(io.BytesIO(row[picture]["bytes"])).convert("RGB")) for row in rows]
    return numpy.stack(pixels), numpy.array([row["label"] for row in rows])


def tensor(pixels):
    """[n, h, w, c] bytes to [n, c, h, w] numbers in [0, 1], channels last in memory."""
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)


def augmented(x, rng):
    n, _, h, w = x.shape
    padded = F.pad(x, (PAD,) * 4)
    down, right = (torch.randint(2 * PAD + 1, (n,), generator=rng).tolist() for _ in range(2))
    x = torch.stack([image[:, d:d + h, r:r + w] for image, d, r in zip(padded, down, right)])
    flip = torch.rand(n, generator=rng) < 0.5
    return torch.where(flip[:, None, None, None], x.flip(3), x).contiguous(memory_format=torch.channels_last)


def uniform(x, reach, rng):
    return torch.empty(x.shape).uniform_(-reach, reach, generator=rng).contiguous(memory_format=torch.channels_last)


def input_gradient(model, x, y):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(model(x), y), x)[0]


def record(model, momentum):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum


def n_fgsm(model, x, y, rng):
    record(model, 0.0)
    noisy = x + uniform(x, 2 * EPS, rng)
    moved = (noisy + EPS * input_gradient(model, noisy, y).sign()).clamp(0, 1)
    record(model, 0.1)
    return moved


def pgd(model, x, y, rng):
    moved = (x + uniform(x, EPS, rng)).clamp(0, 1)
    for _ in range(STEPS):
        moved = moved + STEP * input_gradient(model, moved, y).sign()
        moved = torch.min(torch.max(moved, x - EPS), x + EPS).clamp(0, 1)
    return moved


def measure(model, x, y, batch, seed):
    """Clean accuracy, and that under PGD: only images that are right clean are attacked, the others count as fallen."""
    rng = torch.Generator().manual_seed(seed)
    model.eval()
    clean = robust = 0
    right = lambda x, y: model(x).argmax(1) == y
    for part, labels in zip(x.split(batch), y.split(batch)):
        with torch.no_grad():
            stands = right(part, labels)
        part, labels = part[stands], labels[stands]
        clean += len(labels)
        if len(labels):
            attacked = pgd(model, part, labels, rng)
            with torch.no_grad():
                robust += int(right(attacked, labels).sum())
    model.train()
    return [{"hit": hit, "total": len(y)} for hit in (clean, robust)]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", required=True)
    ap.add_argument("--net", default="preact-resnet:18,width=16")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--epochs", type=int, default=8)
    ap.add_argument("--batch", type=int, default=128)
    ap.add_argument("--train", type=int, default=10000)
    ap.add_argument("--watch", type=int, default=1000)
    ap.add_argument("--test", type=int, default=10000)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--json", type=Path)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    rng = torch.Generator().manual_seed(1000 + a.seed)
    (train, y), (test, labels) = images(a.data, "train", a.train), images(a.data, "test", a.test)
    data = {"name": Path(a.data).name, "train": a.train, "test": a.test, "mean": [train.mean(), test.mean()],
            "labels": [int(y.sum()), int(labels.sum())]}
    x, y, test, labels = tensor(train), torch.from_numpy(y), tensor(test), torch.from_numpy(labels)
    model = train_step.network(a.net).to(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(model.parameters(), LR, MOMENTUM, weight_decay=DECAY)
    document = {"contestant": "pytorch", "torch": torch.__version__, "seed": a.seed, "net": a.net,
                "params": sum(p.numel() for p in model.parameters()), "batch": a.batch, "data": data, "epochs": []}
    for epoch in range(a.epochs):
        begun = time.perf_counter()
        # Constant within an epoch, as in ours.
        sgd.param_groups[0]["lr"] = LR * (1 + math.cos(math.pi * epoch / a.epochs)) / 2
        order, losses = torch.randperm(a.train, generator=rng), []
        for step in range(max(a.train // a.batch, 1)):
            ids = order[step * a.batch:(step + 1) * a.batch]
            clean = augmented(x[ids], rng)
            loss = F.cross_entropy(model(n_fgsm(model, clean, y[ids], rng)), y[ids])
            sgd.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            sgd.step()
            losses.append(loss.item())
        trained = time.perf_counter() - begun
        begun = time.perf_counter()
        n = a.test if epoch + 1 == a.epochs else a.watch
        clean, robust = measure(model, test[:n], labels[:n], a.batch, a.seed)
        line = {"epoch": epoch + 1, "loss": sum(losses) / len(losses), "clean": clean, "pgd": robust,
                "seconds": [trained, time.perf_counter() - begun]}
        print(json.dumps(line), flush=True)
        document["epochs"].append(line)
    if a.json:
        a.json.write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
