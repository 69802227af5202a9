"""Finds the picture in what a module returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from isoline.errors import ExportError


def tensors_in(returned: Any) -> Iterator[torch.Tensor]:
    """Every tensor in tuples, lists, dictionaries and objects with fields, in their order."""
    if isinstance(returned, torch.Tensor):
        yield returned
    elif isinstance(returned, Mapping):
        for value in returned.values():
            yield from tensors_in(value)
    elif isinstance(returned, (tuple, list)):
        for value in returned:
            yield from tensors_in(value)
    elif hasattr(returned, "__dict__"):
        yield from (v for v in vars(returned).values() if isinstance(v, torch.Tensor))


def pick(returned: Any, output: Any = None) -> torch.Tensor:
    """The picture: what `output` names, or the tensor returned, or the first of four axes in what is returned."""
    if output is not None:
        found = returned
        for part in str(output).split("."):
            found = member(found, part, output)
        if isinstance(found, torch.Tensor):
            return found
        raise ExportError(f'output: "{output}" is no tensor but {type(found).__name__}; name a tensor inside it')
    if isinstance(returned, torch.Tensor):
        return returned
    found = [t for t in tensors_in(returned) if t.dim() == 4]
    floats = [t for t in found if t.is_floating_point()]
    if found:
        return (floats or found)[0]
    shapes = ", ".join(str(list(t.shape)) for t in tensors_in(returned)) or "no tensor"
    raise ExportError(
        f"the module returns {type(returned).__name__} of {shapes}, and no tensor of four axes [rows, channels, height, "
        'width]; name the picture, as in output=0 or output="sample"'
    )


def member(value: Any, part: str, output: Any) -> Any:
    """One step of `output`: an index, a key or an attribute."""
    if isinstance(value, (tuple, list)) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
        return value[int(part)]
    if isinstance(value, Mapping) and part in value:
        return value[part]
    if not part.isdigit() and not isinstance(value, torch.Tensor) and hasattr(value, part):
        return getattr(value, part)
    raise ExportError(f'output: nothing is called "{output}" in the {type(value).__name__} that the module returns')
