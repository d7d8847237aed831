"""Small random graphs of the operations that are read, with what ONNX Runtime makes of them: run by `cargo test --test
onnx_export` with onnx, onnxruntime and numpy.

    random_graphs.py OUT SEED COUNT

writes COUNT models OUT/N.onnx, and OUT/N.json with `image` [h, w, c], `images`, `pixels` in the order [n, h, w, c], the `logits`
and the `steps` that the graph is made of. Graph N depends on SEED and N alone. Numbers are such that activations neither vanish
nor grow: a fault anywhere reaches the logits."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

IMAGES = 2


class Graph:
    """A graph that grows at its end; `value` is the last one, [n, c, h, w] or [n, c]."""

    def __init__(self, seed, number, attempt):
        self.random = np.random.default_rng([seed, number, attempt])
        self.nodes, self.constants, self.steps, self.count = [], [], [], 0
        self.opset = int(self.pick([13, 15, 17, 18, 20]))
        self.fixed = self.random.random() < 0.4
        side = int(self.random.integers(6, 13))
        self.shape = [int(self.random.integers(1, 5)), side, side if self.random.random() < 0.6 else side + 2]
        self.image, self.value, self.kept, self.axes = list(self.shape), "x", [], 3

    def pick(self, items):
        return items[int(self.random.integers(len(items)))]

    def coin(self, share=0.5):
        return self.random.random() < share

    def numbers(self, *shape, around=0.0, spread=1.0):
        return (around + spread * self.random.standard_normal(shape)).astype(np.float32)

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op, inputs, outputs=1, **attributes):
        names = [f"v{self.count + i}" for i in range(outputs)]
        self.count += outputs
        self.nodes.append(helper.make_node(op, inputs, names, name=f"{op}_{self.count}", **attributes))
        return names[0] if outputs == 1 else names

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    # Steps on a map [n, c, h, w].

    def conv(self):
        c, h, w = self.shape
        groups = self.pick([1, 1, 1, c] + [g for g in (2, 3) if c % g == 0])
        out = groups * int(self.random.integers(1, max(2, 9 // groups + 1)))
        kernel = [int(self.random.integers(1, min(5, side) + 1)) for side in (h, w)] if self.coin(0.3) else [self.pick([1, 3])] * 2
        stride, dilation = self.pick([1, 1, 1, 2, 3]), self.pick([1, 1, 1, 2])
        attributes = {"kernel_shape": kernel, "strides": [stride] * 2, "dilations": [dilation] * 2, "group": groups}
        if self.coin(0.15) and dilation == 1:
            attributes["auto_pad"] = self.pick(["SAME_UPPER", "SAME_LOWER", "VALID"])
        else:
            pads = [int(self.random.integers(0, k)) for k in kernel]
            attributes["pads"] = pads * 2
        fan = c // groups * kernel[0] * kernel[1]
        inputs = [self.value, self.constant(self.numbers(out, c // groups, *kernel, spread=(1.5 / fan) ** 0.5))]
        if self.coin():
            inputs.append(self.constant(self.numbers(out, spread=0.3)))
        self.value = self.node("Conv", inputs, **attributes)

    def batch_norm(self):
        c = self.shape[0]
        numbers = [self.numbers(c, around=1, spread=0.3), self.numbers(c, spread=0.3), self.numbers(c, spread=0.3)]
        numbers.append(self.random.uniform(0.3, 2, c).astype(np.float32))
        inputs = [self.value] + [self.constant(array) for array in numbers]
        self.value = self.node("BatchNormalization", inputs, epsilon=float(self.pick([1e-5, 1e-3, 1e-7])))

    def instance_norm(self):
        c, h, w = self.shape
        if h * w < 4:
            return
        inputs = [self.value, self.constant(self.numbers(c, around=1, spread=0.3)), self.constant(self.numbers(c, spread=0.3))]
        self.value = self.node("InstanceNormalization", inputs, epsilon=1e-3)

    def layer_norm(self):
        c = self.shape[0]
        if self.opset < 17 or c < 2:
            return
        rows = self.node("Transpose", [self.value], perm=[0, 2, 3, 1])
        inputs = [rows, self.constant(self.numbers(c, around=1, spread=0.3)), self.constant(self.numbers(c, spread=0.3))]
        normed = self.node("LayerNormalization", inputs, axis=-1, epsilon=1e-3)
        self.value = self.node("Transpose", [normed], perm=[0, 3, 1, 2])

    def activation(self):
        kind = self.pick(["Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "HardSigmoid", "Softplus", "Clip", "silu", "gelu", "PRelu", "Identity", "Elu", "Selu", "Celu"])
        if kind == "silu":
            self.value = self.node("Mul", [self.value, self.node("Sigmoid", [self.value])])
        elif kind == "gelu":
            scaled = self.node("Div", [self.value, self.constant(np.float32(2**0.5))])
            raised = self.node("Add", [self.node("Erf", [scaled]), self.constant(np.float32(1))])
            self.value = self.node("Mul", [self.node("Mul", [self.value, raised]), self.constant(np.float32(0.5))])
        elif kind == "Clip":
            limits = [self.constant(np.float32(limit)) for limit in self.pick([(0, 6), (-1, 1), (-0.5, 2)])]
            self.value = self.node("Clip", [self.value] + limits)
        elif kind == "PRelu":
            slope = self.numbers(*([self.shape[0], 1, 1] if len(self.shape) == 3 else [self.shape[0]]), around=0.3, spread=0.1)
            self.value = self.node("PRelu", [self.value, self.constant(slope)])
        elif kind == "HardSwish" and self.opset < 14:
            self.value = self.node("Relu", [self.value])
        elif kind in ("Elu", "Celu"):
            self.value = self.node(kind, [self.value], alpha=float(self.pick([1, 0.5, 2])))
        elif kind == "LeakyRelu":
            self.value = self.node(kind, [self.value], alpha=0.1)
        elif kind == "HardSigmoid":
            self.value = self.node(kind, [self.value], alpha=1 / 6, beta=0.5)
        else:
            self.value = self.node(kind, [self.value])

    def pool(self):
        c, h, w = self.shape
        kernel = [int(self.random.integers(1, min(4, side) + 1)) for side in (h, w)]
        attributes = {"kernel_shape": kernel, "strides": [self.pick([1, 2])] * 2}
        attributes["pads"] = [int(self.random.integers(0, k // 2 + 1)) for k in kernel] * 2 if self.coin() else [0] * 4
        op = self.pick(["MaxPool", "AveragePool"])
        if op == "AveragePool":
            attributes["count_include_pad"] = int(self.coin())
        elif self.coin(0.2):
            attributes["ceil_mode"] = 1
        self.value = self.node(op, [self.value], **attributes)

    def pad(self):
        top, left, bottom, right = (int(n) for n in self.random.integers(0, 3, 4))
        self.value = self.node("Pad", [self.value, self.ints(0, 0, top, left, 0, 0, bottom, right)])

    def arithmetic(self):
        """With numbers: one, one a channel; in either order."""
        c, maps = self.shape[0], len(self.shape) == 3
        shape = self.pick([(), (1,), (1, c, 1, 1) if maps else (1, c), (c, 1, 1) if maps else (c,)])
        op = self.pick(["Add", "Sub", "Mul", "Div"])
        number = self.numbers(*shape, around=1 if op in ("Mul", "Div") else 0, spread=0.2)
        operands = [self.value, self.constant(np.asarray(number, np.float32))]
        if op in ("Add", "Mul", "Sub") and self.coin(0.3):
            operands.reverse()
        self.value = self.node(op, operands)

    def residual(self):
        """A sum, a product or a difference with an earlier value of the same shape, or channels side by side."""
        same = [name for name, shape in self.kept if shape == self.shape]
        beside = [name for name, shape in self.kept if len(shape) == 3 and shape[1:] == self.shape[1:]]
        if same and self.coin(0.7):
            self.value = self.node(self.pick(["Add", "Add", "Mul", "Sub"]), [self.value, self.pick(same)])
        elif beside:
            self.value = self.node("Concat", [self.value, self.pick(beside)], axis=1)

    def gate(self):
        """Squeeze and excitation."""
        c = self.shape[0]
        mean = self.node("GlobalAveragePool", [self.value])
        if self.coin(0.3):
            axes = self.ints(2, 3)
            mean = self.node("ReduceMean", [self.value, axes], keepdims=1) if self.opset >= 18 else self.node("ReduceMean", [self.value], axes=[2, 3], keepdims=1)
        weight = self.constant(self.numbers(c, c, 1, 1, spread=c**-0.5))
        gate = self.node("Sigmoid", [self.node("Conv", [mean, weight], kernel_shape=[1, 1])])
        self.value = self.node("Mul", [self.value, gate])

    def channels(self):
        """A part of the channels, or all in another order."""
        c, h, w = self.shape
        if c < 2:
            return
        kind = self.pick(["slice", "split", "shuffle", "crop"])
        if kind == "slice":
            start = int(self.random.integers(0, c - 1))
            end = int(self.random.integers(start + 1, c + 1))
            self.value = self.node("Slice", [self.value, self.ints(start), self.ints(end), self.ints(1)])
        elif kind == "split":
            first = int(self.random.integers(1, c))
            parts = self.node("Split", [self.value, self.ints(first, c - first)], 2, axis=1)
            self.value = self.node("Concat", parts[::-1], axis=1)
        elif kind == "crop" and h > 3:
            self.value = self.node("Slice", [self.value, self.ints(1), self.ints(h - 1), self.ints(2)])
        elif c % 2 == 0:
            batch = 1 if self.fixed else 0
            apart = self.node("Reshape", [self.value, self.ints(batch, 2, c // 2, h, w)])
            turned = self.node("Transpose", [apart], perm=[0, 2, 1, 3, 4])
            self.value = self.node("Reshape", [turned, self.ints(batch, c, h, w)])

    def tokens(self):
        """A matrix product on every pixel, as transformers write it."""
        c, h, w = self.shape
        out = int(self.random.integers(1, 9))
        rows = self.node("Transpose", [self.value], perm=[0, 2, 3, 1])
        product = self.node("MatMul", [rows, self.constant(self.numbers(c, out, spread=c**-0.5))])
        if self.coin():
            product = self.node("Add", [product, self.constant(self.numbers(out, spread=0.3))])
        self.value = self.node("Transpose", [product], perm=[0, 3, 1, 2])

    def to_vector(self):
        self.axes = 1
        if self.coin():
            self.value = self.node("GlobalAveragePool", [self.value])
        self.value = self.pick([
            lambda: self.node("Flatten", [self.value], axis=1),
            lambda: self.node("Reshape", [self.value, self.ints(1 if self.fixed else 0, -1)]),
        ])()  # fmt: skip

    def linear(self, out=None):
        (c,) = self.shape
        out = out or int(self.random.integers(2, 9))
        weight = self.numbers(c, out, spread=c**-0.5)
        bias = [self.constant(self.numbers(out, spread=0.3))]
        if self.coin():
            if self.coin():
                self.value = self.node("Gemm", [self.value, self.constant(weight.T)] + bias, transB=1)
            else:
                self.value = self.node("Gemm", [self.value, self.constant(weight)] + bias)
        else:
            self.value = self.node("Add", [self.node("MatMul", [self.value, self.constant(weight)])] + bias)

    def batch(self):
        return 1 if self.fixed else -1

    def mix(self):
        """A matrix product over the pixels, as in mixers."""
        c, h, w = self.shape
        flat = self.node("Reshape", [self.value, self.ints(self.batch(), c, h * w)])
        product = self.node("MatMul", [flat, self.constant(self.numbers(h * w, h * w, spread=(h * w) ** -0.5))])
        self.value = self.node("Reshape", [product, self.ints(self.batch(), c, h, w)])

    def attend(self):
        """Attention as no layer has it: shares over any axis, numbers added to the scores, heads mixed."""
        c, h, w = self.shape
        heads = self.pick([d for d in (1, 2, 3) if c % d == 0])
        rows = self.node("Reshape", [self.value, self.ints(self.batch(), heads, c // heads, h * w)])
        turned = self.node("Transpose", [rows], perm=[0, 1, 3, 2])
        scores = self.node("MatMul", [rows, turned])
        scores = self.node("Mul", [scores, self.constant(np.float32((h * w) ** -0.5))])
        if self.coin():
            scores = self.node("Add", [scores, self.constant(self.numbers(*self.pick([(1, heads), (heads,), (1, 1)]), c // heads, c // heads))])
        if self.coin(0.3):
            last = self.node("Transpose", [scores], perm=[0, 2, 3, 1])
            mixed = self.node("MatMul", [last, self.constant(self.numbers(heads, heads))])
            scores = self.node("Transpose", [mixed], perm=[0, 3, 1, 2])
        shares = self.node("Softmax", [scores], axis=self.pick([-1, -1, 2, 1]))
        product = self.node("MatMul", [shares, rows])
        self.value = self.node("Reshape", [product, self.ints(self.batch(), c, h, w)])

    def turn(self):
        """Rows, columns and channels change places."""
        self.value = self.node("Transpose", [self.value], perm=[0] + self.pick([[2, 3, 1], [3, 2, 1], [2, 1, 3], [1, 3, 2]]))

    def windows(self):
        """A matrix product on squares of pixels, whose number is one with that of the images."""
        c, h, w = self.shape
        if h % 2 or w % 2:
            return
        apart = self.node("Reshape", [self.value, self.ints(self.batch(), c, h // 2, 2, w // 2, 2)])
        squares = self.node("Transpose", [apart], perm=[0, 2, 4, 3, 5, 1])
        rows = self.node("Reshape", [squares, self.ints(-1, 4 * c)])
        product = self.node("MatMul", [rows, self.constant(self.numbers(4 * c, 4 * c, spread=(4 * c) ** -0.5))])
        back = self.node("Reshape", [product, self.ints(self.batch(), h // 2, w // 2, 2, 2, c)])
        planes = self.node("Transpose", [back], perm=[0, 5, 1, 3, 2, 4])
        self.value = self.node("Reshape", [planes, self.ints(self.batch(), c, h, w)])

    def reduce(self):
        """One number along an axis, laid over the map."""
        axis, op = self.pick([1, 2, 3]), self.pick(["ReduceMean", "ReduceMax", "ReduceSum"])
        by_input = self.opset >= (13 if op == "ReduceSum" else 18)
        number = self.node(op, [self.value, self.ints(axis)], keepdims=1) if by_input else self.node(op, [self.value], axes=[axis], keepdims=1)
        if op == "ReduceSum":
            number = self.node("Mul", [number, self.constant(np.float32(0.1))])
        self.value = self.node(self.pick(["Add", "Mul", "Sub"]), [self.value, number])

    def stack(self):
        """Maps along a new axis, and shares of them."""
        others = [name for name, shape in self.kept if shape == self.shape]
        if not others:
            return
        maps = [self.node("Unsqueeze", [name, self.ints(1)]) for name in (self.value, self.pick(others))]
        both = self.node("Concat", maps, axis=1)
        shares = self.node("Softmax", [both], axis=1)
        product = self.node("Mul", [both, shares])
        self.value = self.node("ReduceSum", [product, self.ints(1)], keepdims=0)

    def roll(self):
        """What is cut off at one end of an axis is put before the other."""
        axis = self.pick([1, 2, 3])
        length = self.shape[axis - 1]
        if length < 2:
            return
        at = int(self.random.integers(1, length))
        parts = [self.node("Slice", [self.value, self.ints(a), self.ints(b), self.ints(axis)]) for a, b in ((at, length), (0, at))]
        self.value = self.node("Concat", parts, axis=axis)

    def entries(self):
        """With a number for every entry, or for every one of some axes."""
        c, h, w = self.shape
        op = self.pick(["Add", "Sub", "Mul", "Div"])
        shape = self.pick([(1, c, h, w), (h, w), (c, 1, w), (1, c, h, 1)])
        number = self.numbers(*shape) if op in ("Add", "Sub") else self.random.uniform(0.7, 1.3, shape).astype(np.float32)
        self.value = self.node(op, [self.value, self.constant(number)])

    def line_gate(self):
        """A gate whose convolution runs along the channels."""
        c = self.shape[0]
        mean = self.node("Reshape", [self.node("GlobalAveragePool", [self.value]), self.ints(self.batch(), 1, c)])
        conv = self.node("Conv", [mean, self.constant(self.numbers(1, 1, 3))], kernel_shape=[3], pads=[1, 1])
        gate = self.node("Reshape", [self.node("Sigmoid", [conv]), self.ints(self.batch(), c, 1, 1)])
        self.value = self.node("Mul", [self.value, gate])

    STEPS = [conv, conv, conv, batch_norm, activation, activation, pool, pad, arithmetic, residual, residual, gate, channels, tokens,
             instance_norm, layer_norm, mix, attend, turn, windows, reduce, stack, roll, entries, line_gate]  # fmt: skip

    def model(self):
        batch = 1 if self.fixed else "n"
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch] + self.image)]
        outputs = [helper.make_tensor_value_info(self.value, TensorProto.FLOAT, [batch] + [f"d{i}" for i in range(self.axes)])]
        graph = helper.make_graph(self.nodes, "g", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 8
        return model

    def run(self, pixels):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        # As the graph says, without rewrites that change its rounding.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(self.model().SerializeToString(), options, providers=["CPUExecutionProvider"])
        return np.concatenate([session.run(None, {"x": image[None]})[0] for image in pixels])

    def grow(self, pixels):
        """Adds a step; one that gives an empty map is taken back."""
        step = self.pick(self.STEPS)
        before = (self.value, self.shape, len(self.nodes), len(self.constants))
        step(self)
        if self.value == before[0]:
            return
        try:
            shape = list(self.run(pixels[:1]).shape[1:])
        except Exception:
            shape = [0]
        if min(shape) < 1 or len(shape) != 3 or shape[0] > 64:
            self.value, self.shape = before[:2]
            del self.nodes[before[2] :], self.constants[before[3] :]
            return
        self.shape = shape
        self.kept.append((self.value, shape))
        self.steps.append(step.__name__)


def draw(seed, number):
    """A graph, its pixels and its logits. What ONNX Runtime itself refuses (it infers other sides than it computes for some pools)
    is drawn again."""
    for attempt in range(100):
        graph = Graph(seed, number, attempt)
        pixels = graph.random.random((IMAGES, *graph.image)).astype(np.float32)
        for _ in range(int(graph.random.integers(3, 10))):
            graph.grow(pixels)
        graph.to_vector()
        try:
            graph.shape = list(graph.run(pixels[:1]).shape[1:])
            for _ in range(int(graph.random.integers(0, 3))):
                graph.linear()
                graph.shape = list(graph.run(pixels[:1]).shape[1:])
                graph.activation()
            graph.linear(out=int(graph.random.integers(2, 6)))
            return graph, pixels, graph.run(pixels)
        except onnxruntime.capi.onnxruntime_pybind11_state.Fail:
            continue
    raise RuntimeError(f"graph {number} of seed {seed}: every attempt is refused by ONNX Runtime")


def write(folder, seed, number):
    graph, pixels, logits = draw(seed, number)
    model = graph.model()
    checker.check_model(model)
    case = {
        "image": [graph.image[1], graph.image[2], graph.image[0]], "images": IMAGES,
        "pixels": pixels.transpose(0, 2, 3, 1).ravel().tolist(), "logits": logits.ravel().tolist(), "steps": graph.steps,
    }  # fmt: skip
    (folder / f"{number}.onnx").write_bytes(model.SerializeToString())
    (folder / f"{number}.json").write_text(json.dumps(case))


def main():
    folder, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for number in range(count):
        write(folder, seed, number)


if __name__ == "__main__":
    main()
