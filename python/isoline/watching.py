"""What happens inside a module during a call, by the name of the part that does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from isoline.picking import tensors_in
from isoline.subject import Subject, part_name

# Operators that take a tensor for its shape and type alone.
SHAPES = ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty")
SEEDED = torch.Tag.nondeterministic_seeded
TO_NUMBER = torch.ops.aten._local_scalar_dense.default


class Watch(TorchDispatchMode):
    """Notes which part draws random numbers, and which turns a tensor into a Python number.

    With a `latent`, it notes only numbers that were computed from it, and keeps every such tensor while it lasts.
    """

    def __init__(self, root: torch.nn.Module, latent: torch.Tensor | None = None):
        super().__init__()
        self.root, self.inside = root, [""]
        self.draws: list[str] = []
        self.numbers: list[tuple[str, Any]] = []
        # Memory with values that depend on the latent; held, so that no other tensor gets the same place.
        self.depends: dict[int, torch.UntypedStorage] | None = None if latent is None else {}
        self._mark(latent)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls the operator and looks at it."""
        from_latent = self._depends((args, kwargs))
        result = func(*args, **(kwargs or {}))
        if from_latent and func.overloadpacket.__name__ not in SHAPES:
            self._mark(result)
        # Attention counts as seeded for its dropout, which eval mode sets to 0.
        if SEEDED in func.tags and "attention" not in func.name():
            self.draws.append(self.inside[-1])
        if func is TO_NUMBER and from_latent:
            self.numbers.append((self.inside[-1], result))
        return result

    @contextmanager
    def running(self) -> Iterator[Watch]:
        """While this lasts, calls of the root are watched."""
        handles = []
        for name, part in self.root.named_modules():
            enter, leave = self._enter(name), self._leave
            handles += [
                part.register_forward_pre_hook(enter),
                part.register_forward_hook(leave, always_call=True),
            ]
        try:
            with self:
                yield self
        finally:
            for handle in handles:
                handle.remove()

    def _depends(self, arguments: Any) -> bool:
        if self.depends is None:
            return True
        return any(isinstance(t, torch.Tensor) and place(t) in self.depends for t in tree_leaves(arguments))

    def _mark(self, result: Any) -> None:
        if self.depends is not None:
            held = (t for t in tree_leaves(result) if isinstance(t, torch.Tensor))
            self.depends.update((place(t), t.untyped_storage()) for t in held if place(t))

    def _enter(self, name: str) -> Callable[..., None]:
        return lambda *_: self.inside.append(name)

    def _leave(self, *_: Any) -> None:
        self.inside.pop()

    def name(self, part: str) -> str:
        """How a message names the part."""
        return part_name(self.root, part)


def place(tensor: torch.Tensor) -> int:
    """Where the memory of a tensor begins, views included; 0 for none."""
    return tensor.untyped_storage().data_ptr()


def watched(subject: Subject, latents: torch.Tensor, numbers: bool = False) -> Watch:
    """One call of the subject, watched; with `numbers`, for those that depend on the latents."""
    watch = Watch(subject.generator.module, latents if numbers else None)
    with watch.running():
        subject(latents)
    return watch


@dataclass
class Call:
    """One call of one part."""

    name: str
    taken: list[torch.Tensor]
    given: list[torch.Tensor]


def recorded(subject: Subject, latents: torch.Tensor) -> list[Call]:
    """Every call of every part, in the order in which they end: the innermost first."""
    calls: list[Call] = []
    open_calls: list[list[torch.Tensor]] = []

    def enter(part: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        open_calls.append([t.clone() for t in tensors_in([args, kwargs])])

    def leave(name: str) -> Callable[..., None]:
        def hook(part: torch.nn.Module, args: Any, kwargs: Any, returned: Any) -> None:
            calls.append(Call(name, open_calls.pop(), [t.clone() for t in tensors_in(returned)]))

        return hook

    handles = []
    for name, part in subject.generator.module.named_modules():
        handles.append(part.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(part.register_forward_hook(leave(name), with_kwargs=True))
    try:
        subject(latents)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def first_difference(these: list[Call], those: list[Call], same: Callable[[torch.Tensor, torch.Tensor], bool]) -> str | None:
    """The innermost part that takes the same in both recordings and gives something else; None where there is none."""
    for a, b in zip(these, those, strict=False):
        if a.name != b.name or len(a.taken) != len(b.taken) or len(a.given) != len(b.given):
            return None
        alike = all(same(x, y) for x, y in zip(a.taken, b.taken, strict=True))
        if alike and not all(same(x, y) for x, y in zip(a.given, b.given, strict=True)):
            return a.name
    return None


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> bool:
    """Whether two tensors of one shape agree to `tolerance` of the largest value."""
    if a.shape != b.shape:
        return False
    if not a.is_floating_point():
        return bool(torch.equal(a, b))
    largest = b.abs().max().item() if b.numel() else 0.0
    return bool(((a - b).abs() <= tolerance * largest + 1e-12).all())


def first_row_of(two: torch.Tensor, one: torch.Tensor) -> bool:
    """Whether what a batch of two gives holds, as its first row, what the first row alone gives. Rows may lie side by
    side or in turn along one axis that is twice as long. What cannot be told counts as the same."""
    if two.shape == one.shape:
        return close(two, one)
    if two.dim() != one.dim():
        return True
    longer = [d for d in range(two.dim()) if two.shape[d] != one.shape[d]]
    if len(longer) != 1 or two.shape[longer[0]] != 2 * one.shape[longer[0]]:
        return True
    axis = longer[0]
    size = one.shape[axis]
    return close(two.narrow(axis, 0, size), one) or close(two.unflatten(axis, (size, 2)).select(axis + 1, 0), one)
