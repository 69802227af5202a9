"""A tiny model of two stages with random weights, and what PyTorch computes of it in double precision.

    pip install torch numpy safetensors
    python tests/golden/two-stage/case.py tests/golden/two-stage

writes card.toml and weights.safetensors, and reference.json: three latents, their pictures, and the singular values of
the Jacobian noise -> picture through all sampler steps and the decoder.
"""
import hashlib
import json
import math
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
folder = Path(sys.argv[1])
gen = torch.Generator().manual_seed(7)
weights = {}


def weight(name, *shape, scale=None):
    fan = math.prod(shape[1:]) if len(shape) > 1 else 1
    scale = scale or 1.0 / math.sqrt(fan)
    value = (torch.randn(*shape, generator=gen) * scale).to(torch.float32)
    weights[name] = value
    return value.double()


CODE, WIDTH, COND, COUNT = (2, 3, 3), 6, 8, 4
conv_in = weight("in.weight", WIDTH, CODE[0], 3, 3), weight("in.bias", WIDTH)
level = weight("level.weight", 2 * WIDTH, COND, scale=0.3), weight("level.bias", 2 * WIDTH, scale=0.3)
conv_out = weight("out.weight", CODE[0], WIDTH, 3, 3), weight("out.bias", CODE[0])
embed = weight("embed.weight", COND, 2 * COUNT), weight("embed.bias", COND)
dec_in = weight("decoder.in.weight", 5, CODE[0], 1, 1), weight("decoder.in.bias", 5)
dec_out = weight("decoder.out.weight", 5, 3, 4, 4, scale=0.3), weight("decoder.out.bias", 3)
enc_in = weight("encoder.in.weight", 2 * CODE[0], 3, 4, 4), weight("encoder.in.bias", 2 * CODE[0])
MEAN, STD = [0.25, -0.5], [1.5, 0.75]
SIGMAS = [20.0, None, 0.05, 0.0]
RHO = 7.0
SIGMAS[1] = (20.0 ** (1 / RHO) + 0.5 * (0.05 ** (1 / RHO) - 20.0 ** (1 / RHO))) ** RHO
frequencies = torch.exp(torch.linspace(math.log(0.5), math.log(4.0), COUNT))
F = torch.nn.functional


def denoise(x, sigma):
    root = math.sqrt(sigma * sigma + 1.0)
    phase = frequencies * (math.log(sigma) / 4)
    condition = F.silu(F.linear(torch.cat([phase.sin(), phase.cos()]), *embed))
    modulation = F.linear(condition, *level)
    h = F.conv2d((x / root).reshape(1, *CODE), *conv_in, padding=1)
    # The shift comes first, then the scale.
    h = h * (1 + modulation[WIDTH:].reshape(1, -1, 1, 1)) + modulation[:WIDTH].reshape(1, -1, 1, 1)
    h = F.conv2d(F.silu(h), *conv_out, padding=1).reshape(-1)
    return x / (sigma * sigma + 1) + h * sigma / root


def picture(z):
    x = z * SIGMAS[0]
    for here, there in zip(SIGMAS, SIGMAS[1:]):
        slope = (x - denoise(x, here)) / here
        moved = x + slope * (there - here)
        if there > 0:
            slope = (slope + (moved - denoise(moved, there)) / there) / 2
            moved = x + slope * (there - here)
        x = moved
    code = x.reshape(1, *CODE) * torch.tensor(STD).reshape(1, -1, 1, 1) + torch.tensor(MEAN).reshape(1, -1, 1, 1)
    h = F.silu(F.conv2d(code, *dec_in))
    return F.conv_transpose2d(h, *dec_out, stride=2, padding=1).reshape(-1)


save_file({k: v.contiguous() for k, v in weights.items()}, folder / "weights.safetensors")
sha = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()


def layer(table, kind, **keys):
    lines = [f"[[{table}]]", f'kind = "{kind}"']
    lines += [f'{k} = {json.dumps(v)}' for k, v in keys.items()]
    return "\n".join(lines)


card = f"""# Random weights: made by tests/golden/two-stage/case.py.
format = 1
id = "two-stage"
family = "diffusion"
about = "random weights, a reference of two stages"
[latent]
shape = {list(CODE)}
prior = "normal"
[sample]
shape = [3, 6, 6]
range = [-1.0, 1.0]
[provenance]
trained_on = "nothing: random weights"
licence = "CC0-1.0"
how = "tests/golden/two-stage/case.py"
[weights]
file = "weights.safetensors"
sha256 = "{sha}"
[denoiser]
prediction = "edm"
settings = {{ sigma_data = 1.0 }}
sampler = {{ solver = "heun", schedule = "karras", steps = 3, sigma = [0.05, 20.0] }}
"""
parts = [
    layer("denoiser.embed", "fourier", count=COUNT, low=0.5, high=4.0),
    layer("denoiser.embed", "linear", key="embed", out=COND),
    layer("denoiser.embed", "silu"),
    layer("layers", "conv2d", key="in", out=WIDTH, kernel=3, padding=1),
    layer("layers", "modulate", key="level", width=COND, scale=True),
    layer("layers", "silu"),
    layer("layers", "conv2d", key="out", out=CODE[0], kernel=3, padding=1),
    f"[decoder]\nmean = {MEAN}\nstd = {STD}",
    layer("decoder.layers", "conv2d", key="decoder.in", out=5, kernel=1),
    layer("decoder.layers", "silu"),
    layer("decoder.layers", "conv_transpose2d", key="decoder.out", out=3, kernel=4, stride=2, padding=1),
    layer("encoder.layers", "conv2d", key="encoder.in", out=2 * CODE[0], kernel=4, stride=2, padding=1),
]
(folder / "card.toml").write_text(card + "\n".join(parts) + "\n")

rows = []
for _ in range(3):
    z = torch.randn(math.prod(CODE), generator=gen).to(torch.float32).double()
    jacobian = torch.autograd.functional.jacobian(picture, z)
    rows.append({
        "latent": z.tolist(),
        "picture": picture(z).tolist(),
        "singular_values": torch.linalg.svdvals(jacobian).tolist(),
    })
(folder / "reference.json").write_text(json.dumps(rows) + "\n")
print(len(rows), "latents,", sum(v.numel() for v in weights.values()), "parameters, sha256", sha)
