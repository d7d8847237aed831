"""What ONNX Runtime makes of exported networks: run by `cargo test --test onnx_export` with onnxruntime and numpy.

The folder has, for every case, `NAME.onnx` and `NAME.json` with `image` [h, w, c], `images`, `pixels` in the order
[n, h, w, c] and the `logits` that are expected."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

TOLERANCE = 1e-4


def main():
    failed = 0
    for model in sorted(Path(sys.argv[1]).glob("*.onnx")):
        case = json.loads(model.with_suffix(".json").read_text())
        h, w, c = case["image"]
        pixels = np.array(case["pixels"], np.float32).reshape(case["images"], h, w, c).transpose(0, 3, 1, 2)
        want = np.array(case["logits"], np.float64).reshape(case["images"], -1)
        try:
            session = onnxruntime.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
            # All at once, and one by one: the number of images is open.
            whole = session.run(["logits"], {"pixels": np.ascontiguousarray(pixels)})[0]
            single = np.concatenate(
                [session.run(["logits"], {"pixels": np.ascontiguousarray(x[None])})[0] for x in pixels]
            )
        except Exception as why:
            print(f"{model.stem}: {why}")
            failed += 1
            continue
        apart = max(np.abs(got - want).max() for got in (whole, single)) / np.abs(want).max()
        fits = whole.shape == want.shape and apart <= TOLERANCE
        print(f"{model.stem}: apart by {apart:.1e} of the largest logit" + ("" if fits else f", expected {TOLERANCE}"))
        failed += not fits
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
