#!/usr/bin/env python3
"""What a foreign classifier says of digits that isoline made: how sure it is of them, and whether they lie where real ones do.

  pip install torch numpy safetensors pillow
  experiments/digits/judge.py SHARED RUN [RUN ...]

SHARED is the folder of docs/data.md (weights/lenet-mnist, datasets/mnist); a RUN is a run folder of `isoline generate`,
or one of its rows. For each: pictures; the share that LeNet gives more than 90 % to one digit ("sure"); the share of the
class asked for, where the recipe has one ("asked"); precision and recall in LeNet's 84 features against 1,000 test digits,
k = 5 (arXiv 1904.06991); how many of the ten digits occur.
"""
import gzip
import sys
import tomllib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

shared, runs = Path(sys.argv[1]), [Path(r) for r in sys.argv[2:]]
net = load_file(shared / "weights/lenet-mnist/lenet.safetensors")


def lenet(bytes_):
    x = torch.as_tensor(bytes_, dtype=torch.float32)[:, None]
    x = F.interpolate(x, size=(32, 32), mode="bilinear", align_corners=False) / 255
    weight = lambda name: (net[f"{name}.weight"], net[f"{name}.bias"])
    for name, pool in [("convnet.c1", True), ("convnet.c3", True), ("convnet.c5", False)]:
        x = F.relu(F.conv2d(x, *weight(name)))
        x = F.max_pool2d(x, 2) if pool else x
    features = F.relu(F.linear(x.flatten(1), *weight("fc.f6")))
    return features, F.linear(features, *weight("fc.f7")).softmax(1)


def within(points, support, k=5):
    """Share of `points` inside the k-nearest-neighbour balls of `support`."""
    radii = torch.cdist(support, support).kthvalue(k + 1, dim=1).values
    return (torch.cdist(points, support) <= radii[None]).any(1).float().mean().item()


with gzip.open(shared / "datasets/mnist/t10k-images-idx3-ubyte.gz") as file:
    real = np.frombuffer(file.read(), np.uint8)[16:].reshape(-1, 28, 28)[:1000]
real, _ = lenet(real)
print(f"{'run':<34} {'pictures':>8} {'sure':>6} {'asked':>6} {'precision':>9} {'recall':>6} {'digits':>6}")
for run in runs:
    files = sorted((run / "images").glob("*.png"))
    recipe = tomllib.loads((run / "recipe.toml").read_text())
    wanted = recipe.get("denoising", {}).get("class")
    features, p = lenet(np.stack([np.asarray(Image.open(f).convert("L")) for f in files]))
    best = p.max(1)
    asked = "-" if wanted is None else f"{(best.indices == wanted).float().mean():.3f}"
    print(
        f"{str(run):<34} {len(files):>8} {(best.values > 0.9).float().mean():>6.3f} {asked:>6}"
        f" {within(features, real):>9.3f} {within(real, features):>6.3f} {len(set(best.indices.tolist())):>6}"
    )
