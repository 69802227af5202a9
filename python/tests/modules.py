"""Small generators of three kinds, and modules that must be refused. Weights are random from a fixed seed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """A module with the same random weights in every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return make()


class Dcgan(nn.Module):
    """Transposed convolutions and batch norm with statistics of its own, [16] → [3, 16, 16], values in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.ConvTranspose2d(16, 24, 4, bias=False)
        self.norm = nn.BatchNorm2d(24)
        self.second = nn.ConvTranspose2d(24, 12, 4, 2, 1)
        self.last = nn.ConvTranspose2d(12, 3, 4, 2, 1)
        self.norm.running_mean.normal_(0, 0.1)
        self.norm.running_var.uniform_(0.01, 0.05)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = nn.functional.leaky_relu(self.norm(self.first(z[:, :, None, None])), 0.2)
        return torch.tanh(4 * self.last(torch.relu(self.second(x))))


class VaeDecoder(nn.Module):
    """An MLP with ELU, Softplus and a dropout that eval mode turns off, [8] → [1, 12, 12], values in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.ELU(), nn.Dropout(0.5), nn.Linear(32, 40), nn.Softplus())
        self.out = nn.Linear(40, 144)

    def forward(self, z: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.body(2 * z)
        return {"hidden": hidden, "sample": torch.sigmoid(3 * self.out(hidden)).unflatten(1, (1, 12, 12))}


class Transformer(nn.Module):
    """Tokens with attention, layer norm, GELU and a label that modulates, [4, 4, 4] → [3, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 16)
        self.label = nn.Embedding(5, 16)
        self.norm_1, self.norm_2 = nn.LayerNorm(16, eps=1e-6), nn.LayerNorm(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(16, 32), nn.GELU(approximate="tanh"), nn.Linear(32, 16))
        self.paint = nn.Sequential(nn.Linear(16, 12))
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, z: torch.Tensor, y: torch.Tensor, *, strength: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.embed(z.flatten(2).transpose(1, 2)) + strength * self.label(y)[:, None]
        n = self.norm_1(x)
        x = x + self.attention(n, n, n, need_weights=False)[0]
        x = x + self.feed(self.norm_2(x))
        picture = self.shuffle(self.paint(x).transpose(1, 2).unflatten(2, (4, 4)))
        return x, picture


GOOD: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], dict[str, object]]] = {
    "dcgan": (Dcgan, (16,), {}),
    "vae": (VaeDecoder, (8,), {}),
    "transformer": (Transformer, (4, 4, 4), {"y": torch.tensor([3]), "strength": 0.5}),
}


class Noise(nn.Module):
    """Adds noise drawn anew, as StyleGAN does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.1 * torch.randn_like(x)


class Gate(nn.Module):
    """Chooses by the sign of a mean."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.mean() > 0 else x * 3


class Counter(nn.Module):
    """Changes with every call."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x * self.calls


class Centre(nn.Module):
    """Subtracts the mean over the batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0, keepdim=True)


class Root(nn.Module):
    """The square root of what may be negative."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(x)


def head(*parts: tuple[str, nn.Module]) -> nn.Module:
    """A linear map [6] → [3, 4, 4] with these parts, by name, behind it."""
    whole = nn.Sequential(nn.Linear(6, 48), nn.Unflatten(1, (3, 4, 4)))
    for name, part in parts:
        whole.add_module(name, part)
    return whole


class Returns(nn.Module):
    """Returns what `of` makes of a picture."""

    def __init__(self, of: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.body, self.of = head(), of

    def forward(self, z: torch.Tensor) -> object:
        return self.of(self.body(z))
