"""What the file must give: pictures of a few latents by PyTorch, and the singular values of two Jacobians in f64."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from isoline.errors import ExportError, first_line
from isoline.subject import Subject

# Singular values are found up to this width of a latent, of this many latents.
WIDTH = 512
SPECTRA = 2
# A Jacobian of more bytes, or two that take longer, are left out.
BYTES = 2 << 30
SECONDS = 600.0

Map = Callable[[torch.Tensor], torch.Tensor]


def reference(subject: Subject, latents: torch.Tensor) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The tensors of the reference file, and what is worth saying about them."""
    tensors = {"latents": latents.clone(), "outputs": subject.each(latents)}
    tensors |= {f"fixed.{name}": value for name, value in subject.fixed.items()}
    try:
        double = subject.doubled()
        with sdpa_kernel(SDPBackend.MATH):
            tensors["outputs_f64"] = double.each(latents.double())
    except ExportError as error:
        reason = str(error).partition("; give an example")[0]
        return tensors, [f"no reference in f64, without which there are no singular values: {reason}"]
    if subject.width > WIDTH:
        return tensors, [f"no singular values: a latent has {subject.width} values, and they are found up to {WIDTH}"]
    values, note = spectra(double, latents[:SPECTRA].double(), tensors["outputs_f64"][0].numel())
    notes = [note] if note else []
    if values is not None:
        tensors["singular_values"] = values
        if bool((values[:, 0] == 0).any()):
            notes.append("the picture does not move with the latent: all singular values are 0, as in a saturated tanh")
    return tensors, notes


def spectra(double: Subject, latents: torch.Tensor, outputs: int) -> tuple[torch.Tensor | None, str | None]:
    """The singular values of the Jacobian at each latent, descending, [n, d]; or why there are none."""
    if outputs * double.width * 8 > BYTES:
        return None, f"no singular values: a Jacobian of {outputs} × {double.width} is larger than 2 GiB"
    found = []
    started = time.monotonic()
    for latent in latents:

        def picture(z: torch.Tensor) -> torch.Tensor:
            return double.generator(*double.inputs(z)).reshape(-1)

        try:
            with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                jacobian = columns(picture, latent[None], outputs, started)
        except TimeoutError:
            return None, f"no singular values: they would take longer than {SECONDS / 60:.0f} minutes"
        except Exception as error:
            return None, f"no singular values: the module has no derivatives forward or twice: {first_line(error)}"
        found.append(singular_values(jacobian, double.width))
    return torch.stack(found), None


def singular_values(jacobian: torch.Tensor, width: int) -> torch.Tensor:
    """Descending, `width` of them: where there are fewer outputs, the rest is 0."""
    if jacobian.shape[0] > jacobian.shape[1]:
        jacobian = torch.linalg.qr(jacobian, mode="r").R
    values = torch.linalg.svdvals(jacobian)
    return torch.cat([values, values.new_zeros(width - len(values))])


def columns(picture: Map, latent: torch.Tensor, outputs: int, started: float) -> torch.Tensor:
    """The Jacobian, [outputs, d], a few columns at a time: by the first way that the module permits."""
    basis = torch.eye(latent.numel(), dtype=latent.dtype).reshape(-1, *latent.shape)
    chunk = max(1, min(32, (1 << 20) // outputs))
    ways = [forward_together, forward_alone, twice_backward]
    parts: list[torch.Tensor] = []
    for start in range(0, len(basis), chunk):
        directions = basis[start : start + chunk]
        while True:
            try:
                parts.append(ways[0](picture, latent, directions).detach())
                break
            except Exception:
                if len(ways) == 1:
                    raise
                ways.pop(0)
        if (time.monotonic() - started) * len(basis) / (start + len(directions)) > SECONDS:
            raise TimeoutError
    return torch.cat(parts).T


def forward_together(picture: Map, latent: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """J v of several directions in one pass."""
    return torch.func.vmap(lambda v: torch.func.jvp(picture, (latent,), (v,))[1])(directions)


def forward_alone(picture: Map, latent: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """J v of one direction after the other."""
    return torch.stack([torch.func.jvp(picture, (latent,), (v,))[1] for v in directions])


def twice_backward(picture: Map, latent: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """J v as the derivative of u ↦ <Jᵀu, v>, for modules that only know their gradient."""
    return torch.stack([torch.autograd.functional.jvp(picture, latent, v)[1] for v in directions])
