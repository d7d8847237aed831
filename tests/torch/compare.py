"""What PyTorch makes of exported networks: run by `cargo test --test torch_export` with torch.

Every folder has `net.py` and `weights.safetensors`; `case.json` with `image` [h, w, c], `pixels` in the order
[n, h, w, c], `labels`, `branch`, the `logits` of evaluation in single precision, the `loss` of training mode in double precision, and the
step that was taken then (`lr`, `weight_decay`); `gradients.safetensors` of that loss, and `stepped.safetensors` with all
numbers behind the step."""

import importlib.util
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

TOLERANCE = 1e-4
# Of the largest gradient of the network: gradients that are zero but for rounding have no scale of their own.
LEAST = 1e-2


def loaded(path):
    spec = importlib.util.spec_from_file_location("net", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def apart(got, want, least=0.0):
    scale = max(want.abs().max().item(), least, 1e-30)
    return (got - want).abs().max().item() / scale


def without_chance(net):
    """Nothing is dropped: the two programs draw different numbers."""
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if type(module).__name__ == "StochasticDepth":
            module.rate = 0.0


def compared(folder):
    case = json.loads((folder / "case.json").read_text())
    module = loaded(folder / "net.py")
    h, w, c = case["image"]
    pixels = torch.tensor(case["pixels"]).reshape(-1, h, w, c).permute(0, 3, 1, 2).contiguous()
    call = {"branch": case["branch"]} if case["branch"] else {}
    net = module.load(folder / "weights.safetensors")
    with torch.no_grad():
        logits = net(pixels, **call)
    want = torch.tensor(case["logits"]).reshape(len(pixels), -1)
    assert logits.shape == want.shape, f"logits {logits.shape}, expected {want.shape}"
    found = {"logits": apart(logits, want)}

    net.double().train()
    without_chance(net)
    optimizer = torch.optim.SGD(net.parameters(), case["lr"], momentum=0.9, weight_decay=case["weight_decay"])
    loss = F.cross_entropy(net(pixels.double(), **call), torch.tensor(case["labels"]))
    loss.backward()
    found["loss"] = abs(loss.item() - case["loss"]) / abs(case["loss"])
    want = module.read_weights(folder / "gradients.safetensors")
    largest = max(want[name].abs().max().item() for name, _ in net.named_parameters())
    gradients = {
        name: torch.zeros_like(value) if value.grad is None else value.grad for name, value in net.named_parameters()
    }
    found["gradients"] = max(apart(grad, want[name], LEAST * largest) for name, grad in gradients.items())
    # A parameter that nothing reads has no gradient in PyTorch, and then no weight decay either.
    for value in net.parameters():
        value.grad = torch.zeros_like(value) if value.grad is None else value.grad
    optimizer.step()
    stepped = module.read_weights(folder / "stepped.safetensors")
    state = {name: value for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert state.keys() == stepped.keys(), f"other numbers: {sorted(state.keys() ^ stepped.keys())}"
    found["step"] = max(apart(state[name], want) for name, want in stepped.items())
    return found


def main():
    torch.set_num_threads(1)
    failed = 0
    for folder in sorted(path.parent for path in Path(sys.argv[1]).glob("*/case.json")):
        try:
            found = compared(folder)
        except Exception as why:
            print(f"{folder.name}: {type(why).__name__}: {why}")
            failed += 1
            continue
        fits = max(found.values()) <= TOLERANCE
        words = ", ".join(f"{name} {value:.1e}" for name, value in found.items())
        print(f"{folder.name}: apart by {words}" + ("" if fits else f", expected {TOLERANCE}"))
        failed += not fits
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
