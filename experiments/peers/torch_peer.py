"""The PyTorch side of experiments/peers/run: the same work on the same weights, each way PyTorch has.

`torch_peer.py DIR THREADS` reads requests `MODEL METHOD COUNT` from standard input and answers each with one line of
JSON: milliseconds for the singular values of COUNT latents, those values, and the batch that was found to be fastest.
"""
import copy
import json
import math
import sys
import time
import tomllib
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch.func import jacfwd, jvp, vjp, vmap

torch.set_grad_enabled(True)
PROJECTION = 128


class Model:
    """A card's layers as a function of the latent, and the same with tangents by hand."""

    def __init__(self, folder):
        card = tomllib.loads((folder / "card.toml").read_text())
        self.w = {k: v.float() for k, v in load_file(folder / "weights.safetensors").items()}
        self.z = load_file(folder / "latents.safetensors")["z"]
        self.latent = card["latent"]["shape"]
        self.layers = card["layers"]
        self.stages = (card["denoiser"], card["decoder"]) if "denoiser" in card else None
        if card.get("geometry", {}).get("output") == "preactivation":
            self.layers = self.layers[:-1]
        self.tuned = {}

    def f(self, z):
        """One latent [d] to one flat sample."""
        return self.chain(self.layers, z.reshape([1, *self.latent])).reshape(-1)

    def batch(self, z):
        return self.chain(self.layers, z.reshape([-1, *self.latent])).flatten(1)

    def chain(self, layers, x):
        if layers is self.layers and self.stages:
            return self.one_step(x)
        return self.through(layers, x)

    def one_step(self, z):
        """A diffusion model of one step with EDM's scaling, sigma_data = 1, and its decoder."""
        denoiser, decoder = self.stages
        sampler = denoiser["sampler"]
        assert sampler["steps"] == 1 and denoiser["prediction"] == "edm" and denoiser["settings"] == {"sigma_data": 1.0}
        sigma = sampler["sigma"][1]
        level = torch.tensor([[math.log(sigma) / 4]], dtype=z.dtype)
        self.condition = self.through(denoiser["embed"], level)
        x = z * sigma
        root = math.sqrt(sigma * sigma + 1)
        code = x / (root * root) + self.through(self.layers, x / root) * (sigma / root)
        per_channel = lambda values: torch.tensor(values, dtype=z.dtype).reshape([1, -1, 1, 1])
        return self.through(decoder["layers"], code * per_channel(decoder["std"]) + per_channel(decoder["mean"]))

    def unet(self, c, level=0):
        """The layers that a U-Net stands for, as in src/nn/layers/unet.rs."""
        key = lambda part: f"{c['key']}.{level}.{part}"
        layers = self.blocks(c, level, "down")
        if level + 1 < len(c["channels"]):
            shrink = {"kind": "conv2d", "key": key("shrink"), "padding": 1, "stride": 2}
            grow = {"kind": "conv2d", "key": key("grow"), "padding": 1}
            inner = [shrink, *self.unet(c, level + 1), {"kind": "upsample"}, grow]
            layers.append({"kind": "concat", "branches": [inner, []]})
        return layers + self.blocks(c, level, "up")

    def blocks(self, c, level, way):
        layers = []
        for i in range(c.get("blocks", 1)):
            key = lambda part: f"{c['key']}.{level}.{way}{i}.{part}"

            def norm(part):
                n = len(self.w[f"{key(part)}.weight"])
                groups = max(g for g in range(1, min(c.get("groups", 8), n) + 1) if n % g == 0)
                return {"kind": "group_norm", "key": key(part), "groups": groups}

            conv = lambda part: {"kind": "conv2d", "key": key(part), "padding": 1}
            level_in = {"kind": "modulate", "key": key("level")}
            body = [norm("norm1"), {"kind": "silu"}, conv("conv1"), level_in, norm("norm2"), {"kind": "silu"}, conv("conv2")]
            skip = [{"kind": "conv2d", "key": key("skip")}] if f"{key('skip')}.weight" in self.w else []
            layers.append({"kind": "residual", "body": body, "shortcut": skip})
            if level in c.get("attention", []):
                attention = {"kind": "attention", "key": key("attention"), "heads": c.get("heads", 1)}
                layers.append({"kind": "residual", "body": [norm("attention.norm"), attention]})
        return layers

    def attention(self, c, x):
        n, channels, *sides = x.shape
        mix = lambda name, v: F.conv1d(v, self.w[f"{c['key']}.{name}.weight"][..., None], self.w[f"{c['key']}.{name}.bias"])
        qkv = mix("qkv", x.flatten(2)).reshape(n, 3, c["heads"], channels // c["heads"], -1).transpose(-1, -2)
        q, k, v = qkv.unbind(1)
        # Written out: the fused one has no forward mode.
        y = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1) @ v
        return mix("out", y.transpose(-1, -2).reshape(n, channels, -1)).reshape(x.shape)

    def through(self, layers, x):
        for layer in layers:
            x = self.layer(layer, x)
        return x

    def layer(self, c, x, bias=True):
        w, kind, key = self.w, c["kind"], c.get("key")
        b = w.get(f"{key}.bias") if bias and key else None
        if kind == "linear":
            return F.linear(x.flatten(1), w[f"{key}.weight"], b)
        if kind == "conv2d":
            return F.conv2d(x, w[f"{key}.weight"], b, c.get("stride", 1), c.get("padding", 0))
        if kind == "conv_transpose2d":
            p = c.get("padding", 0), c.get("output_padding", 0)
            return F.conv_transpose2d(x, w[f"{key}.weight"], b, c.get("stride", 1), *p)
        if kind == "batch_norm":
            eps = c.get("eps", 1e-5)
            if bias:
                return F.batch_norm(x, w[f"{key}.running_mean"], w[f"{key}.running_var"], w[f"{key}.weight"], b, eps=eps)
            scale = w[f"{key}.weight"] / (w[f"{key}.running_var"] + eps).sqrt()
            return x * scale.reshape([1, -1] + [1] * (x.dim() - 2))
        if kind == "group_norm":
            return F.group_norm(x, c["groups"], w[f"{key}.weight"], b, c.get("eps", 1e-5))
        if kind == "upsample":
            return F.interpolate(x, scale_factor=c.get("factor", 2), mode="nearest")
        if kind == "reshape":
            return x.reshape([x.shape[0], *c["shape"]])
        if kind == "residual":
            return self.through(c["body"], x) + self.through(c.get("shortcut", []), x)
        if kind == "concat":
            return torch.cat([self.through(branch, x) for branch in c["branches"]], 1)
        if kind == "unet":
            return self.through(self.unet(c), x)
        if kind == "modulate":
            shift, scale = self.through([{"kind": "linear", "key": key}], self.condition).chunk(2, 1)
            return x * (1 + scale[..., None, None]) + shift[..., None, None]
        if kind == "attention":
            return self.attention(c, x)
        if kind == "fourier":
            f = torch.exp(torch.linspace(math.log(c["low"]), math.log(c["high"]), c["count"], dtype=torch.float64)).to(x.dtype)
            return torch.cat([(f * x).sin(), (f * x).cos()], 1)
        return ACTIVATIONS[kind](x, c)

    def tangent(self, layers, x, t):
        """x [n, …] and t [n·k, …] behind `layers`: every linear layer takes all tangents in one call."""
        for c in layers:
            n, k, kind = x.shape[0], t.shape[0] // x.shape[0], c["kind"]
            if kind in ACTIVATIONS:
                y = ACTIVATIONS[kind](x, c)
                slope = SLOPES[kind](x, y, c)
                t = (t.reshape([n, k, *x.shape[1:]]) * slope.unsqueeze(1)).reshape(t.shape)
            elif kind == "group_norm":
                y, t = self.group_norm(c, x, t)
            elif kind == "residual":
                a, b = self.tangent(c["body"], x, t), self.tangent(c.get("shortcut", []), x, t)
                y, t = a[0] + b[0], a[1] + b[1]
            else:
                y, t = self.layer(c, x), self.layer(c, t, bias=False)
            x = y
        return x, t

    def group_norm(self, c, x, t):
        n, k = x.shape[0], t.shape[0] // x.shape[0]
        g = x.reshape(n, 1, c["groups"], -1)
        mean, std = g.mean(-1, keepdim=True), (g.var(-1, keepdim=True, unbiased=False) + c.get("eps", 1e-5)).sqrt()
        hat, u = (g - mean) / std, t.reshape(n, k, c["groups"], -1)
        moved = (u - u.mean(-1, keepdim=True) - hat * (u * hat).mean(-1, keepdim=True)) / std
        weight = self.w[f"{c['key']}.weight"].reshape([1, -1] + [1] * (x.dim() - 2))
        return self.layer(c, x), moved.reshape(t.shape) * weight


ACTIVATIONS = {
    "silu": lambda x, c: F.silu(x),
    "relu": lambda x, c: F.relu(x),
    "leaky_relu": lambda x, c: F.leaky_relu(x, c.get("slope", 0.01)),
    "tanh": lambda x, c: torch.tanh(x),
    "sigmoid": lambda x, c: torch.sigmoid(x),
    "clamp_tanh": lambda x, c: torch.tanh(x / c["scale"]) * c["scale"],
}
SLOPES = {
    "relu": lambda x, y, c: (x > 0).to(x.dtype),
    "leaky_relu": lambda x, y, c: torch.where(x > 0, 1.0, c.get("slope", 0.01)),
    "tanh": lambda x, y, c: 1 - y * y,
    "sigmoid": lambda x, y, c: y * (1 - y),
    "clamp_tanh": lambda x, y, c: 1 - (y / c["scale"]) ** 2,
}


def from_jacobian(j):
    """Singular values of j [n, D, d], descending: the Gram matrix in f64, which is faster than an SVD."""
    j = j.to(torch.float64)
    values = torch.linalg.eigvalsh(j.transpose(1, 2) @ j)
    return values.clamp(min=0).sqrt().flip(1)


def by_jacfwd(m, z):
    return from_jacobian(vmap(jacfwd(m.f))(z) if len(z) > 1 else jacfwd(m.f)(z[0])[None])


def by_jvp(m, z):
    """vmap over directions of jvp over the whole batch."""
    eye = torch.eye(z.shape[1])
    j = vmap(lambda v: jvp(m.batch, (z,), (v.expand_as(z),))[1], out_dims=2)(eye)
    return from_jacobian(j)


def by_hand(m, z):
    n, d = z.shape
    with torch.inference_mode():
        t = torch.eye(d, dtype=z.dtype).repeat(n, 1).reshape([n * d, *m.latent])
        _, t = m.tangent(m.layers, z.reshape([n, *m.latent]), t)
        return from_jacobian(t.reshape(n, d, -1).transpose(1, 2))


def directions(m):
    if "w" not in m.tuned:
        g = torch.Generator().manual_seed(0)
        q = torch.randn(m.f(m.z[0]).numel(), PROJECTION, generator=g, dtype=torch.float64)
        m.tuned["w"] = torch.linalg.qr(q)[0].T.to(torch.float32).contiguous()
    return m.tuned["w"]


def projection_vmap(m, z):
    """Polarity sampling's estimate: 128 random rows of the output, W J, and its SVD."""
    w = directions(m)
    rows = torch.stack([vmap(vjp(m.f, one)[1])(w)[0] for one in z])
    return torch.linalg.svdvals(rows)


def projection_repeat(m, z):
    w = directions(m)
    n, d = z.shape
    many = z.repeat_interleave(PROJECTION, 0).requires_grad_()
    (rows,) = torch.autograd.grad((m.batch(many) * w.repeat(n, 1)).sum(), many)
    return torch.linalg.svdvals(rows.reshape(n, PROJECTION, d))


# Relative steps from a latent: where the input of a relu is 0 up to rounding in f32, the Jacobian jumps between them.
STEPS = [0.0, 1e-6, -1e-6, 2e-6, -2e-6, 4e-6, -4e-6]


def truth(m, z):
    """Singular values in f64 throughout, at each latent and at steps of rounding size from it: [n, steps, d]."""
    if "f64" not in m.tuned:
        double = copy.copy(m)
        double.w = {k: v.double() for k, v in m.w.items()}
        m.tuned["f64"] = double
    if m.stages:
        # Smooth throughout, so no step is needed.
        return by_jacfwd(m.tuned["f64"], z.double()).reshape(len(z), 1, -1)
    each = [by_hand(m.tuned["f64"], one[None].double() * (1 + step)) for one in z for step in STEPS]
    return torch.cat(each).reshape(len(z), len(STEPS), -1)


METHODS = {
    "jacfwd": [by_jacfwd],
    "jvp": [by_jvp],
    "hand": [by_hand],
    "projection": [projection_vmap, projection_repeat],
}


def run(m, method, z):
    """All of z with the way and the batch size that were fastest when first asked."""
    way, batch = m.tuned.get(method) or tune(m, method, z)
    with torch.no_grad() if method in ("jacfwd", "jvp", "hand") else torch.enable_grad():
        return torch.cat([way(m, z[i : i + batch]) for i in range(0, len(z), batch)])


def tune(m, method, z):
    best = math.inf
    for way in METHODS[method]:
        for batch in [1, 2, 4, 8, 16, 32, 64]:
            # Tangents of the widest layers must fit into memory; larger batches never were faster there.
            if batch > len(z) or batch * z.shape[1] > 2048:
                break
            m.tuned[method] = (way, batch)
            part = z[: max(batch, min(len(z), 4))]
            run(m, method, part)
            times = []
            for _ in range(2):
                started = time.process_time()
                run(m, method, part)
                times.append((time.process_time() - started) / len(part))
            if min(times) < best:
                best, found = min(times), (way, batch)
            elif min(times) > 1.5 * best:
                break
    m.tuned[method] = found
    return found


def main():
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(threads)
    models = {}
    for line in sys.stdin:
        name, method, count = line.split()
        m = models.setdefault(name, None) or models.update({name: Model(folder / name)}) or models[name]
        z = m.z[: int(count)]
        if method == "forward":
            with torch.inference_mode():
                started, processor = time.perf_counter(), time.process_time()
                m.batch(z)
                ms, processor = (time.perf_counter() - started) * 1e3, (time.process_time() - processor) * 1e3
            print(json.dumps({"ms": ms, "processor_ms": processor, "batch": len(z), "way": "forward"}), flush=True)
            continue
        if method == "truth":
            print(json.dumps({"singular_values": truth(m, z).tolist()}), flush=True)
            continue
        if method not in m.tuned:
            tune(m, method, z)
        started, processor = time.perf_counter(), time.process_time()
        values = run(m, method, z)
        ms, processor = (time.perf_counter() - started) * 1e3, (time.process_time() - processor) * 1e3
        way, batch = m.tuned[method]
        answer = {"ms": ms, "processor_ms": processor, "singular_values": values.tolist(), "batch": batch, "way": way.__name__}
        print(json.dumps(answer), flush=True)


main()
