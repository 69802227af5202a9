"""`export`: a PyTorch generator becomes the ONNX file that `isoline import` reads."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from isoline.errors import ExportError, need
from isoline.report import Export

if TYPE_CHECKING:
    import torch

NOTHING: Mapping[str, Any] = MappingProxyType({})


def export(
    module: torch.nn.Module,
    example_latent: torch.Tensor,
    path: str | os.PathLike[str],
    *,
    fixed: Mapping[str, Any] = NOTHING,
    output: str | int | None = None,
    exporter: Literal["auto", "dynamo", "torchscript"] = "auto",
    opset: int | None = None,
    batch: int | Literal["dynamic"] = 1,
    rows: int = 8,
    check: bool = True,
) -> Export:
    """Writes `module` as the ONNX file `path`, and `<stem>.reference.safetensors` beside it.

    Works on a copy in eval mode, in f32 on the CPU; the module itself stays as it is.

    module: a generator; its first argument is the latent.
    example_latent: one latent with a batch axis first. Only its shape counts; it is taken as N(0, I).
    fixed: the other arguments of `forward`, by name. Tensors and arrays become inputs of the file, and their values go
        into the reference; anything else becomes a part of the file.
    output: the picture in what the module returns: an index, a key or an attribute, with dots between steps. Without it,
        the tensor returned, or the first of four axes.
    exporter, opset: without them dynamo with opset 21, then 18, then TorchScript with 17; the first sound file is taken.
    batch: 1, which nothing can go wrong with and which isoline import lifts over any number of rows; "dynamic" for other
        readers.
    rows: latents in the reference and in the comparison with onnxruntime.
    check: False leaves out the looks at the module and the comparison with onnxruntime.

    Returns what was done; printing it gives a few lines. Raises ExportError with one sentence that names the layer and
    what to do, and MissingPackage.
    """
    started = time.monotonic()
    need("torch", "export")
    need("numpy", "export")
    need("onnx", "export")
    # These modules import torch and onnx.
    from isoline import looks
    from isoline.onnxfile import operators
    from isoline.reference import reference
    from isoline.safetensors import serialize
    from isoline.subject import Subject, undisturbed
    from isoline.trying import first_sound
    from isoline.writers import plans

    target = checked_path(path)
    if batch not in (1, "dynamic"):
        raise ExportError(f'batch: expected 1 or "dynamic", found {batch!r}; isoline import lifts 1 over any number of rows')
    if not isinstance(rows, int) or rows < 1:
        raise ExportError(f"rows: expected a whole number from 1, found {rows!r}")
    dynamic = batch == "dynamic"
    beside = target.with_name(f"{target.stem}.reference.safetensors")
    ways = plans(exporter, opset)
    with undisturbed():
        subject = Subject(module, example_latent, fixed, output)
        latents = subject.latents(rows)
        notes = looks.look(subject, latents, dynamic) if check else ["the module was not looked at (check=False)"]
        target.parent.mkdir(parents=True, exist_ok=True)
        # Everything is made in a folder of its own and moved when all of it is there.
        with tempfile.TemporaryDirectory(prefix=".isoline-", dir=target.parent) as folder:
            sound = first_sound(ways, subject, latents if check else None, dynamic, Path(folder) / target.name)
            tensors, more = reference(subject, latents)
            draft = Path(folder) / beside.name
            draft.write_bytes(serialize(tensors, {"made_by": f"isoline {version()}"}))
            beside.unlink(missing_ok=True)
            for file in [*sound.files, draft]:
                shutil.move(file, target.with_name(file.name))
    outputs = tensors["outputs"]
    kinds = operators(sound.model)
    return Export(
        path=target,
        reference=beside,
        exporter=sound.plan.exporter,
        opset=sound.opset,
        nodes=sum(kinds.values()),
        operators=dict(kinds),
        parameters=sum(p.numel() for p in subject.generator.parameters()),
        latent=subject.shape,
        picture=tuple(outputs.shape[1:]),
        range=(float(outputs.min()), float(outputs.max())),
        batch=batch,
        rows=rows,
        spectra=tuple(tensors["singular_values"].shape) if "singular_values" in tensors else (),
        fixed={name: tuple(value.shape) for name, value in subject.fixed.items()},
        checked=sound.checked,
        tried=sound.tried,
        notes=notes + more,
        seconds=time.monotonic() - started,
    )


def checked_path(path: str | os.PathLike[str]) -> Path:
    """The file to write. Raises ExportError for a name that is no ONNX file's."""
    target = Path(path)
    if target.suffix != ".onnx":
        raise ExportError(f'path: expected a file name that ends in .onnx, found "{target}"')
    if target.is_dir():
        raise ExportError(f"{target}: expected a file, found a folder; choose another name")
    return target


def version() -> str:
    """The version of this package."""
    import isoline

    return isoline.__version__
