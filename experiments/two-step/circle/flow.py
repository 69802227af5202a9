"""A flow on the ten values themselves: the ambient model of the literature. RealNVP, trained by maximum likelihood in PyTorch.

    flow.py SEED circle.idx|exact.npy OUT.npy

Writes 4,000 samples, values from 0 to 1. It has about as many weights as the two-step model, and takes as many steps of as many points.
"""
import struct
import sys

import numpy as np
import torch

STEPS, BATCH, COUPLINGS, WIDTH = 9000, 256, 6, 64
torch.manual_seed(int(sys.argv[1]))
torch.set_num_threads(1)
rounded = sys.argv[2].endswith(".idx")
if rounded:
    with open(sys.argv[2], "rb") as file:
        _, count, _, d = struct.unpack(">4I", file.read(16))
        data = np.frombuffer(file.read(), np.uint8).reshape(count, d)[:1000] / 255
else:
    data = np.load(sys.argv[2])
d = data.shape[1]
data = torch.tensor(data, dtype=torch.float32)
mean, std = data.mean(0), data.std()
data = (data - mean) / std


def coupling():
    layers = [torch.nn.Linear(d // 2, WIDTH), torch.nn.SiLU(), torch.nn.Linear(WIDTH, WIDTH), torch.nn.SiLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(WIDTH, d))


nets = torch.nn.ModuleList(coupling() for _ in range(COUPLINGS))


def change(net, kept):
    shift, scale = net(kept).chunk(2, 1)
    return shift, 2 * torch.tanh(scale / 2)


def halves(x, i):
    return (x[:, 0::2], x[:, 1::2]) if i % 2 == 0 else (x[:, 1::2], x[:, 0::2])


def joined(kept, moved, i):
    pair = (kept, moved) if i % 2 == 0 else (moved, kept)
    return torch.stack(pair, 2).flatten(1)


def loss(x):
    log_det = 0
    for i, net in enumerate(nets):
        kept, moved = halves(x, i)
        shift, scale = change(net, kept)
        x = joined(kept, (moved - shift) * torch.exp(-scale), i)
        log_det = log_det - scale.sum(1)
    return (0.5 * x.square().sum(1) - log_det).mean()


optimiser = torch.optim.Adam(nets.parameters(), 2e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
for _ in range(STEPS):
    batch = data[torch.randint(len(data), (BATCH,))]
    if rounded:
        # Noise as wide as a step of the rounding, as is usual: else a density falls into the gaps between the steps.
        batch = batch + (torch.rand(BATCH, d) - 0.5) / 255 / std
    optimiser.zero_grad()
    value = loss(batch)
    value.backward()
    torch.nn.utils.clip_grad_norm_(nets.parameters(), 10.0)
    optimiser.step()
    schedule.step()
with torch.no_grad():
    x = torch.randn(4000, d)
    for i, net in reversed(list(enumerate(nets))):
        kept, moved = halves(x, i)
        shift, scale = change(net, kept)
        x = joined(kept, moved * torch.exp(scale) + shift, i)
np.save(sys.argv[3], (x * std + mean).numpy())
print(f"log-likelihood {-value.item():.1f} nats, {sum(p.numel() for p in nets.parameters())} weights", file=sys.stderr)
