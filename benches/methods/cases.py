"""What is trained: groups of cases that differ in one thing, in the order in which they are run."""
from dataclasses import dataclass, field

NET = "wrn:10-1"
# One optimiser and one schedule for all, whatever a preset's paper used: what differs is the method.
COMMON = {
    "train.optimiser": '{ name = "sgd", momentum = 0.9, weight_decay = 5e-4 }',
    "train.schedule": '{ lr = 0.2, warmup = 0.0, per_step = true, shape = { name = "triangular", peak = 0.4 } }',
    "split.validation": "200",
}
EMA = '{ name = "ema", decay = 0.99, warmup = true, from = 0, statistics = "average" }'


@dataclass(frozen=True)
class Case:
    """A training: a preset and what is changed of it."""
    name: str
    preset: str
    sets: dict = field(default_factory=dict)
    net: str = NET


@dataclass(frozen=True)
class Group:
    """Cases that are trained and measured alike."""
    name: str
    title: str
    epochs: int
    batch: int
    eps: str
    cases: list
    sets: dict = field(default_factory=dict)
    #: Test images of the attacks one by one, and of AutoAttack; 0: none.
    images: int = 256
    autoattack: int = 0
    seeds: tuple = (0, 1)

    def settings(self, case):
        """All keys that are changed, the case's last."""
        return {**COMMON, **self.sets, **case.sets}


def sixteen(preset, name="", **more):
    return Case(name or preset, preset, {"train.adversary.eps": "16/255"}, **more)


METHODS = Group(
    "methods", "Every method at equal epochs", epochs=10, batch=64, eps="8/255", autoattack=64,
    sets={"split.train": "2200"},
    cases=[
        Case("standard", "standard"),
        Case("pgd-at-eval", "pgd-at-eval"),
        Case("mart", "mart"),
        Case("fw-at-adapt", "fw-at-adapt", {"train.adversary.monitor": "256"}),
        Case("fgsm", "fgsm"),
        Case("rs-fgsm", "rs-fgsm"),
        Case("n-fgsm", "n-fgsm"),
        Case("trades", "trades"),
        Case("at-awp", "at-awp"),
        Case("pgd-at", "pgd-at"),
        Case("pgd-at-batch", "pgd-at-batch"),
        Case("trades-awp", "trades-awp", {"train.awp.from": "2"}),
        Case("trades-8-255", "trades-8-255"),
        Case("gradalign", "gradalign"),
        Case("free", "free"),
        Case("dynamic-fosc", "dynamic-fosc"),
        Case("cutmix-ema", "cutmix-ema"),
        Case("pyramid-at", "pyramid-at"),
        Case("advprop", "advprop", net=f"{NET},norm=multi-batch:2"),
        Case("vit-light", "vit-light", {"train.ramp.epochs": "2"}),
        Case("arnas", "arnas"),
        Case("robust-resnet", "robust-resnet"),
        Case("dial", "dial"),
        Case("dial-ce", "dial-ce"),
        Case("multi-bn", "multi-bn", net=f"{NET},norm=multi-batch:3"),
    ],
)

COLLAPSE = Group(
    "collapse", "Single-step training", epochs=40, batch=32, eps="16/255",
    sets={"split.train": "2200", "split.crop_pad": "0", "split.flip": "false"},
    cases=[
        sixteen("fgsm"),
        sixteen("n-fgsm"),
        sixteen("fgsm", "fgsm-flc", net=f"{NET},down=flc"),
        sixteen("rs-fgsm"),
        Case("gradalign", "gradalign", {"train.adversary.eps": "16/255", "train.objective.alignment": "2.0"}),
    ],
)

OVERFIT = Group(
    "overfit", "Few images, many epochs", epochs=40, batch=64, eps="8/255",
    sets={"split.train": "700", "split.crop_pad": "0", "split.flip": "false",
          "train.schedule": '{ lr = 0.1, warmup = 0.0, per_step = false, shape = { name = "piecewise", milestones = [0.5, 0.75], factor = 0.1 } }'},
    cases=[
        Case("pgd-at", "pgd-at"),
        Case("at-awp", "at-awp"),
        Case("pgd-at-ema", "pgd-at", {"train.average": EMA}),
    ],
)

GROUPS = [COLLAPSE, METHODS, OVERFIT]
