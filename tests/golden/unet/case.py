#!/usr/bin/env python3
"""The U-Net of card.toml in PyTorch: values and jvp in f64, of the denoiser and of the whole sampler.

  pip install torch numpy safetensors
  python tests/golden/unet/case.py        # writes expected.safetensors beside this file

Weights are drawn in f32, so both sides start from the same numbers; everything after is f64.
"""
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(20)
GROUPS, HEADS, CONDITION, CHANNELS, CLASSES, DATA = 2, 2, 5, [4, 6], 3, 0.5
LEVELS, RHO, STEPS = [0.1, 4.0], 7.0, 3
weights = {}


def weight(key, *shape):
    if key not in weights:
        fan = math.prod(shape[1:]) if len(shape) > 1 else 4
        values = torch.randn(*shape) / math.sqrt(fan)
        weights[key] = values + 1.0 if "norm" in key and key.endswith("weight") else values
    return weights[key].double()


def conv(x, key, out, kernel, stride=1):
    w = weight(f"{key}.weight", out, x.shape[1], kernel, kernel)
    return F.conv2d(x, w, weight(f"{key}.bias", out), stride=stride, padding=kernel // 2)


def norm(x, key):
    c = x.shape[1]
    groups = max(g for g in range(1, GROUPS + 1) if c % g == 0)
    return F.group_norm(x, groups, weight(f"{key}.weight", c), weight(f"{key}.bias", c), eps=1e-5)


def modulate(x, key, condition):
    c = x.shape[1]
    a = F.linear(condition, weight(f"{key}.weight", 2 * c, CONDITION), weight(f"{key}.bias", 2 * c))
    shift, scale = a[:, :c, None, None], a[:, c:, None, None]
    return x * (1 + scale) + shift


def attention(x, key):
    n, c, h, w = x.shape
    flat = x.reshape(n, c, h * w)
    qkv = torch.einsum("oc,ncs->nos", weight(f"{key}.qkv.weight", 3 * c, c), flat)
    qkv = (qkv + weight(f"{key}.qkv.bias", 3 * c)[None, :, None]).reshape(n, 3, HEADS, c // HEADS, h * w)
    q, k, v = qkv.transpose(3, 4).unbind(1)
    y = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(n, c, h * w)
    y = torch.einsum("oc,ncs->nos", weight(f"{key}.out.weight", c, c), y) + weight(f"{key}.out.bias", c)[None, :, None]
    return y.reshape(n, c, h, w)


def block(x, key, own, condition):
    h = conv(F.silu(norm(x, f"{key}.norm1")), f"{key}.conv1", own, 3)
    h = modulate(h, f"{key}.level", condition)
    h = conv(F.silu(norm(h, f"{key}.norm2")), f"{key}.conv2", own, 3)
    x = h + (x if x.shape[1] == own else conv(x, f"{key}.skip", own, 1))
    return x + attention(norm(x, f"{key}.attention.norm"), f"{key}.attention")


def level(x, i, condition):
    own = CHANNELS[i]
    x = block(x, f"u.{i}.down0", own, condition)
    if i + 1 < len(CHANNELS):
        inner = level(conv(x, f"u.{i}.shrink", own, 3, stride=2), i + 1, condition)
        inner = conv(F.interpolate(inner, scale_factor=2, mode="nearest"), f"u.{i}.grow", own, 3)
        x = torch.cat([inner, x], 1)
    return block(x, f"u.{i}.up0", own, condition)


def network(x, time, kind):
    frequencies = torch.tensor([0.5 * 8 ** (j / 2) for j in range(3)], dtype=torch.float64)
    phases = time * frequencies
    shown = torch.zeros(CLASSES, dtype=torch.float64)
    if kind is not None:
        shown[kind] = 1
    row = torch.cat([phases.sin(), phases.cos(), shown])[None]
    condition = F.silu(F.linear(row, weight("embed.weight", CONDITION, 6 + CLASSES), weight("embed.bias", CONDITION)))
    h = F.conv2d(x, weight("in.weight", 4, 1, 4, 4), weight("in.bias", 4), stride=2, padding=1)
    h = F.silu(norm(level(h, 0, condition), "norm"))
    return F.conv_transpose2d(h, weight("out.weight", 4, 1, 4, 4), weight("out.bias", 1), stride=2, padding=1)


def denoise(x, sigma, kind):
    root = math.sqrt(sigma**2 + DATA**2)
    f = network(x / root, math.log(sigma) / 4, kind)
    return x * DATA**2 / root**2 + f * sigma * DATA / root


def sample(z, kind):
    low, high = LEVELS
    ends = [high ** (1 / RHO) + u / (STEPS - 1) * (low ** (1 / RHO) - high ** (1 / RHO)) for u in range(STEPS)]
    sigmas = [e**RHO for e in ends] + [0.0]
    x = z * sigmas[0]
    for a, b in zip(sigmas, sigmas[1:]):
        slope = (x - denoise(x, a, kind)) / a
        nxt = x + (b - a) * slope
        if b > 0:
            nxt = x + (b - a) * 0.5 * (slope + (nxt - denoise(nxt, b, kind)) / b)
        x = nxt
    return x


def main():
    x, directions = torch.randn(2, 1, 8, 8).double(), torch.randn(5, 1, 8, 8).double()
    x, directions = x.float().double(), directions.float().double()
    denoise(x, 1.0, None)  # draws the weights, outside of any transform
    expected = {"x": x.reshape(2, 64), "directions": directions.reshape(5, 64)}
    cases = [("denoiser_low", lambda v: denoise(v, 0.2, 1)), ("denoiser_high", lambda v: denoise(v, 3.0, None))]
    cases.append(("sampler", lambda v: sample(v, 2)))
    for name, f in cases:
        values, moved = [], []
        for point in x:
            pairs = [torch.func.jvp(lambda v: f(v[None]), (point,), (d,)) for d in directions]
            values.append(pairs[0][0].reshape(64))
            moved.append(torch.stack([p[1].reshape(64) for p in pairs]))
        expected[f"{name}.value"], expected[f"{name}.tangents"] = torch.stack(values), torch.stack(moved)
    file = Path(__file__).with_name("expected.safetensors")
    everything = {**weights, **{f"expected.{k}": v for k, v in expected.items()}}
    save_file({k: v.contiguous() for k, v in everything.items()}, file)
    print(f"{len(weights)} weights, {sum(v.numel() for v in weights.values())} values, {file.stat().st_size} bytes")


main()
