"""The module to be written: a copy that is safe to work on, called as latent → picture."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from isoline.errors import ExportError, first_line
from isoline.picking import pick

LATENT = "latent"
PICTURE = "picture"
Kind = TypeVar("Kind", bound=torch.nn.Module)
# The latents of checks and references: standard normal, as isoline draws them, from this seed of PyTorch's generator.
SEED = 0


class Generator(torch.nn.Module):
    """latent → picture. Hands what is fixed to the module and picks the picture out of what it returns."""

    def __init__(self, module: torch.nn.Module, names: tuple[str, ...], plain: dict[str, Any], output: Any):
        super().__init__()
        self.module = module
        self.names, self.plain, self.output = names, plain, output
        # For the first look, which wants to see the type that the module itself gives.
        self.as_it_is = False

    def forward(self, latent: torch.Tensor, *fixed: torch.Tensor) -> torch.Tensor:
        """The picture of each latent; `fixed` in the order of the names."""
        returned = self.module(latent, **dict(zip(self.names, fixed, strict=True)), **self.plain)
        picture = pick(returned, self.output)
        return picture if self.as_it_is else picture.to(latent.dtype)


class Subject:
    """A copy of the caller's module on the CPU, in eval mode and f32, with its latent and what is fixed."""

    def __init__(self, module: torch.nn.Module, example: torch.Tensor, fixed: Mapping[str, Any], output: Any):
        check_arguments(module, example, fixed)
        self.kind = type(module).__name__
        self.shape = tuple(example.shape[1:])
        tensors = {name: as_tensor(value) for name, value in fixed.items() if is_array(value)}
        plain = {name: value for name, value in fixed.items() if name not in tensors}
        rows = example.shape[0]
        self.fixed = {n: t[:1] if rows > 1 and t.dim() > 0 and t.shape[0] == rows else t for n, t in tensors.items()}
        own = copied(module).cpu().float().eval().requires_grad_(False)
        self.generator = Generator(own, tuple(self.fixed), plain, output).eval()
        stuck = [name for name, part in own.named_modules() if part.training]
        if stuck:
            raise ExportError(
                f"{part_name(own, stuck[0])} stays in training mode after eval(); let its train() method accept False"
            )

    @property
    def width(self) -> int:
        """How many values a latent has."""
        return int(torch.tensor(self.shape).prod()) if self.shape else 1

    def latents(self, rows: int) -> torch.Tensor:
        """Standard normal latents, the same in every call."""
        return torch.randn(rows, *self.shape, generator=torch.Generator().manual_seed(SEED))

    def inputs(self, latents: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What `generator` takes for these latents: what is fixed is repeated for each row, and has their type."""
        rows = latents.shape[0]
        return (latents, *(self._fit(t, rows, latents.dtype) for t in self.fixed.values()))

    @staticmethod
    def _fit(value: torch.Tensor, rows: int, dtype: torch.dtype) -> torch.Tensor:
        value = value.to(dtype) if value.is_floating_point() else value
        return value.expand(rows, *value.shape[1:]) if has_rows(value) else value

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        """The pictures of these latents in one batch."""
        with torch.no_grad():
            try:
                return self.generator(*self.inputs(latents))
            except ExportError:
                raise
            except Exception as error:
                raise ExportError(
                    f"{self.kind} does not run on a latent {list(latents.shape)}: {first_line(error)}; give an example "
                    "with a batch axis first, as in torch.randn(1, 64), and every other argument in fixed="
                ) from error

    def each(self, latents: torch.Tensor) -> torch.Tensor:
        """The pictures of these latents one at a time, which is what the file is going to mean."""
        return torch.cat([self(row[None]) for row in latents])

    def doubled(self) -> Subject:
        """The same in f64."""
        other = copy.copy(self)
        other.generator = copied(self.generator).double()
        return other


def check_arguments(module: Any, example: Any, fixed: Mapping[str, Any]) -> None:
    """Raises ExportError for what cannot be a module, a latent or a fixed argument."""
    if not isinstance(module, torch.nn.Module):
        raise ExportError(
            f"module: expected a torch.nn.Module, found {type(module).__name__}; wrap it in a small Module whose forward "
            "calls it"
        )
    if not isinstance(example, torch.Tensor) or not example.is_floating_point():
        found = example.dtype if isinstance(example, torch.Tensor) else type(example).__name__
        raise ExportError(f"example_latent: expected a tensor of floats, found {found}; take torch.randn(1, …)")
    if example.dim() < 2 or 0 in example.shape:
        raise ExportError(
            f"example_latent: expected a batch axis first, as in [1, 64], found {list(example.shape)}; "
            "take example_latent[None]"
        )
    if LATENT in fixed or PICTURE in fixed:
        raise ExportError(f'fixed: the names "{LATENT}" and "{PICTURE}" are those of the file itself; rename the argument')
    try:
        taken = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):  # compiled, such as a script module
        return
    if not any(p.kind is p.VAR_KEYWORD for p in taken):
        named = [p.name for p in taken if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
        for name in fixed:
            if name not in named[1:]:
                others = ", ".join(named[1:]) or "none besides the latent"
                raise ExportError(
                    f'fixed: forward of {type(module).__name__} takes no argument "{name}" besides the latent; it takes '
                    f"{others}"
                )


def is_array(value: Any) -> bool:
    """Whether the value is a tensor or a NumPy array: these become inputs of the file, anything else a part of it."""
    return isinstance(value, torch.Tensor) or type(value).__module__ == "numpy"


def as_tensor(value: Any) -> torch.Tensor:
    """On the CPU; floats in f32."""
    tensor = torch.as_tensor(value).detach().cpu()
    return tensor.float() if tensor.is_floating_point() else tensor


def has_rows(value: torch.Tensor) -> bool:
    """Whether a fixed value has a batch axis, of length one."""
    return value.dim() > 0 and value.shape[0] == 1


def copied(module: Kind) -> Kind:
    """A deep copy, also of modules that keep results of their last call, which PyTorch refuses to copy."""
    kept = {id(v): v.detach().clone() for m in module.modules() for v in vars(m).values() if is_result(v)}
    try:
        return copy.deepcopy(module, kept)
    except Exception as error:
        raise ExportError(
            f"{type(module).__name__} cannot be copied: {first_line(error)}; build a fresh one and load the weights into it"
        ) from error


def is_result(value: Any) -> bool:
    """Whether the value is a tensor that was computed with derivatives, which deepcopy refuses."""
    return isinstance(value, torch.Tensor) and not value.is_leaf


def part_name(root: torch.nn.Module, name: str) -> str:
    """How a message names a part of a module."""
    part = root.get_submodule(name)
    return f"layer {name} ({type(part).__name__})" if name else f"the module itself ({type(part).__name__})"


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leaves PyTorch's random state and its switches as they were, with the fused transformer layers off: these
    have no derivatives forward."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
