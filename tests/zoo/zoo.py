"""What robustnas makes of the networks that people bring: run by `make zoo`.

Every network of the list is made with torchvision, timm or the code below, with random weights and random statistics, exported
by both of PyTorch's exporters, read by `robustnas export X.onnx --onnx Y.onnx`, and Y is run by ONNX Runtime: its logits are
compared with PyTorch's own. One result a line goes to OUT/zoo.jsonl as soon as it is there, so that the command goes on where
it was stopped; the table is printed from that file."""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import nn

TOLERANCE = 1e-4
EXPORTERS = ("dynamo", "script")


class Preact(nn.Module):
    """The block of Wide ResNet and PreActResNet."""

    def __init__(self, c_in, c_out, stride, act):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(c_in), nn.BatchNorm2d(c_out)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(c_in, c_out, 1, stride, bias=False) if stride > 1 or c_in != c_out else None
        self.act = act

    def forward(self, x):
        y = self.act(self.bn1(x))
        short = self.short(y) if self.short is not None else x
        return self.conv2(self.act(self.bn2(self.conv1(y)))) + short


class Wide(nn.Module):
    """RobustBench's Wide ResNets: DeepMind's with SiLU normalise inside."""

    def __init__(self, depth, width, act=F.relu, normalise=False, classes=10):
        super().__init__()
        n, widths = (depth - 4) // 6, [16, 16 * width, 32 * width, 64 * width]
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        blocks = [
            Preact(widths[s] if i == 0 else widths[s + 1], widths[s + 1], 2 if s and i == 0 else 1, act)
            for s in range(3)
            for i in range(n)
        ]
        self.blocks, self.bn, self.fc = nn.Sequential(*blocks), nn.BatchNorm2d(widths[3]), nn.Linear(widths[3], classes)
        self.act = act
        self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2471, 0.2435, 0.2616]).view(3, 1, 1))
        self.normalise = normalise

    def forward(self, x):
        x = (x - self.mean) / self.std if self.normalise else x
        x = self.act(self.bn(self.blocks(self.conv1(x))))
        return self.fc(F.avg_pool2d(x, 8).view(x.size(0), -1))


class Padded(nn.Module):
    """CIFAR's ResNets with shortcuts of type A: every second pixel, channels padded with zeros."""

    def __init__(self, n, classes=10):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.blocks = nn.ModuleList()
        c = 16
        for s, width in enumerate((16, 32, 64)):
            for i in range(n):
                stride = 2 if s and i == 0 else 1
                self.blocks.append(
                    nn.Sequential(
                        nn.Conv2d(c, width, 3, stride, 1, bias=False),
                        nn.BatchNorm2d(width),
                        nn.ReLU(),
                        nn.Conv2d(width, width, 3, 1, 1, bias=False),
                        nn.BatchNorm2d(width),
                    )
                )
                c = width
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = F.relu(self.bn(self.stem(x)))
        for block in self.blocks:
            y = block(x)
            if y.shape != x.shape:
                pad = (y.shape[1] - x.shape[1]) // 2
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, pad, pad))
            x = F.relu(x + y)
        return self.fc(F.avg_pool2d(x, x.size(3)).flatten(1))


class Cosine(nn.Module):
    """A head of unit vectors (Pang et al. 2020)."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(32, 10, bias=False)

    def forward(self, x):
        x = F.normalize(self.features(x).flatten(1))
        return 15 * F.linear(x, F.normalize(self.fc.weight))


class Encoder(nn.Module):
    """Patches through torch.nn's own transformer."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 64, 4, 4)
        self.position = nn.Parameter(0.02 * torch.randn(1, 64, 64))
        layer = nn.TransformerEncoderLayer(64, 4, 128, activation="gelu", batch_first=True, norm_first=True)
        self.encoder, self.fc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(64, 10)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2) + self.position
        return self.fc(self.encoder(x).mean(1))


def plain(**more):
    """A small network of today's usual parts."""
    act = more.get("act", nn.ReLU)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16), act(), nn.MaxPool2d(2, ceil_mode=more.get("ceil", False)),
        nn.Conv2d(16, 32, 3, 1, 1, groups=more.get("groups", 1)), more.get("norm", nn.BatchNorm2d)(32), act(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 64), nn.BatchNorm1d(64), act(), nn.Linear(64, 10),
    )  # fmt: skip


CIFAR = {
    "wrn-28-4": lambda: Wide(28, 4),
    "wrn-16-4": lambda: Wide(16, 4),
    "dm-wrn-28-4 silu": lambda: Wide(28, 4, F.silu, True),
    "wrn-16-4 gelu": lambda: Wide(16, 4, F.gelu),
    "resnet-20 padded": lambda: Padded(3),
    "resnet-56 padded": lambda: Padded(9),
    "cosine head": Cosine,
    "transformer encoder": Encoder,
    "plain": plain,
    "plain softplus": lambda: plain(act=nn.Softplus),
    "plain mish": lambda: plain(act=nn.Mish),
    "plain hardswish": lambda: plain(act=nn.Hardswish),
    "plain ceil": lambda: plain(ceil=True),
    "plain group norm": lambda: plain(norm=lambda c: nn.GroupNorm(4, c)),
    "plain instance norm": lambda: plain(norm=lambda c: nn.InstanceNorm2d(c, affine=True)),
}
TORCHVISION = """alexnet vgg11 vgg11_bn resnet18 resnet50 resnext50_32x4d wide_resnet50_2 densenet121 squeezenet1_1 mobilenet_v2
mobilenet_v3_small mobilenet_v3_large shufflenet_v2_x0_5 mnasnet0_5 efficientnet_b0 efficientnet_v2_s regnet_y_400mf regnet_x_400mf
convnext_tiny vit_b_32 swin_t googlenet""".split()
TIMM = """resnet18 resnet26d resnetv2_50 seresnet18 res2net50_26w_4s repvgg_a0 rexnet_100 vit_tiny_patch16_224 deit_tiny_patch16_224
deit_tiny_distilled_patch16_224 efficientnet_b0 tf_efficientnetv2_b0 mobilenetv3_small_050 mobilenetv2_050 ghostnet_050 dla34
densenet121 regnety_002 regnetx_002 inception_v3 xception41p poolformer_s12 mobileone_s0 fastvit_t8 cspresnet50 darknet53
selecsls42b visformer_tiny convnext_atto convnextv2_atto edgenext_xx_small xcit_nano_12_p16_224 coat_lite_tiny cait_xxs24_224
swin_tiny_patch4_window7_224 mixer_s32_224 mobilevit_xxs levit_128s ecaresnet26t skresnet18 resnest14d nf_regnet_b0 hrnet_w18_small
vgg11_bn ese_vovnet19b_dw resnetaa50 wide_resnet50_2 gmlp_s16_224 resmlp_12_224 convmixer_768_32 efficientformer_l1
mobilenetv4_conv_small""".split()


def zoo():
    """(name, how to make it, image side)."""
    for name, make in CIFAR.items():
        yield f"cifar {name}", make, 32
    for name in TORCHVISION:
        yield f"torchvision {name}", lambda name=name: torchvision_model(name), 224
    for name in TIMM:
        yield f"timm {name}", lambda name=name: timm_model(name), None


def torchvision_model(name):
    import torchvision

    more = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
    return torchvision.models.get_model(name, weights=None, **more)


def timm_model(name):
    import timm

    return timm.create_model(name, pretrained=False)


def build(name, make, side):
    torch.manual_seed(0)
    model = make().eval()
    side = side or getattr(model, "default_cfg", {}).get("input_size", (3, 224, 224))[1]
    random = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.2, generator=random)
            module.running_var.uniform_(0.5, 1.5, generator=random)
            if module.weight is not None:
                module.weight.data.uniform_(0.7, 1.3, generator=random)
                module.bias.data.normal_(0, 0.1, generator=random)
    # What is initialised to zero or nearly so hides errors.
    for parameter in model.parameters():
        if parameter.abs().max() < 1e-3:
            parameter.data.normal_(0, 0.1, generator=random)
    return model, side


def export(model, side, exporter, path):
    example = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(2))
    names = {"input_names": ["x"], "output_names": ["y"]}
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with warnings.catch_warnings(), quiet[0], quiet[1], torch.no_grad():
        warnings.simplefilter("ignore")
        if exporter == "dynamo":
            torch.onnx.export(model, (example,), path, dynamo=True, external_data=False, verbose=False, **names)
        else:
            torch.onnx.export(model, (example,), path, dynamo=False, opset_version=17, **names)


def logits(path, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


def examine(program, model, side, exporter, folder):
    """The verdict and what there is to be said."""
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        want = model(images).numpy()
    theirs, ours = os.path.join(folder, "theirs.onnx"), os.path.join(folder, "ours.onnx")
    try:
        export(model, side, exporter, theirs)
    except Exception as why:
        return {"verdict": "not exported", "said": f"{type(why).__name__}: {why}".splitlines()[0][:200]}
    made = subprocess.run([program, "export", theirs, "--onnx", ours], capture_output=True, text=True)
    if made.returncode != 0:
        said = made.stderr.strip().splitlines()[-1].replace(theirs, "theirs.onnx") if made.stderr.strip() else ""
        return {"verdict": "refused", "code": made.returncode, "said": said[:300]}
    apart = float(np.abs(logits(ours, images.numpy()) - want).max() / np.abs(want).max())
    return {"verdict": "read" if apart <= TOLERANCE else "wrong", "apart": apart}


def table(results):
    rows = {}
    for result in results:
        rows.setdefault(result["net"], {})[result["exporter"]] = result
    lines = ["| network | dynamo | script |", "|---|---|---|"]
    for net, found in rows.items():
        cells = []
        for exporter in EXPORTERS:
            result = found.get(exporter)
            cells.append(
                "" if result is None
                else f"{result['verdict']}, {result['apart']:.0e}" if "apart" in result
                else f"{result['verdict']}: {result['said'].removeprefix('robustnas: theirs.onnx: ')}"
            )  # fmt: skip
        lines.append(f"| {net} | {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--program", required=True, help="the robustnas to try")
    arguments.add_argument("--out", required=True, help="the folder of zoo.jsonl")
    arguments.add_argument("--only", default="", help="networks whose name has one of these in it: swin,vit")
    arguments.add_argument("--again", default="", help="verdicts that are tried again: refused,wrong")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    # Its fused transformer is no operation of ONNX.
    torch.backends.mha.set_fastpath_enabled(False)
    out, wanted = Path(given.out), given.only.split(",")
    meant = lambda name: any(part in name for part in wanted)
    out.mkdir(parents=True, exist_ok=True)
    file, again = out / "zoo.jsonl", given.again.split(",")
    known = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    known = [result for result in known if result["verdict"] not in again or not meant(result["net"])]
    file.write_text("".join(json.dumps(result) + "\n" for result in known))
    for name, make, side in zoo():
        todo = [e for e in EXPORTERS if not any((r["net"], r["exporter"]) == (name, e) for r in known)]
        if not meant(name) or not todo:
            continue
        model, side = build(name, make, side)
        for exporter in todo:
            with tempfile.TemporaryDirectory() as folder:
                result = {"net": name, "exporter": exporter, **examine(given.program, model, side, exporter, folder)}
            known.append(result)
            with file.open("a") as lines:
                lines.write(json.dumps(result) + "\n")
            print(name, exporter, result["verdict"], result.get("said", f"{result.get('apart', 0):.1e}"), flush=True)
    order = {name: i for i, (name, _, _) in enumerate(zoo())}
    known.sort(key=lambda r: (order.get(r["net"], len(order)), r["exporter"]))
    (out / "zoo.md").write_text(table(known) + "\n")
    of = lambda verdict: sum(r["verdict"] == verdict for r in known)
    tried = len(known) - of("not exported")
    print(f"{len({r['net'] for r in known})} networks, {tried} files of PyTorch: {of('read')} read "
          f"({100 * of('read') / max(tried, 1):.1f} %), {of('refused')} refused, {of('wrong')} wrong; "
          f"{of('not exported')} that PyTorch could not export")
    sys.exit(of("wrong") > 0 or of("read") < 0.9 * tried)


if __name__ == "__main__":
    main()
