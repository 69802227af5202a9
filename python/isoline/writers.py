"""The exporters of PyTorch, tried in turn."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch

from isoline.errors import ExportError, need
from isoline.subject import LATENT, PICTURE, Subject, has_rows

OPSETS = (13, 21)
ROWS = "rows"


@dataclass(frozen=True)
class Plan:
    """One way of writing the file."""

    exporter: str
    opset: int

    def __str__(self) -> str:
        return f"{self.exporter} opset {self.opset}"


def plans(exporter: str, opset: int | None) -> list[Plan]:
    """What to try, the best first: dynamo writes fewer nodes, opset 21 has a whole group normalization.

    Raises ExportError for an exporter or an opset that is not there.
    """
    if exporter not in ("auto", "dynamo", "torchscript"):
        raise ExportError(f'exporter: expected "auto", "dynamo" or "torchscript", found {exporter!r}')
    if opset is not None and not (isinstance(opset, int) and OPSETS[0] <= opset <= OPSETS[1]):
        raise ExportError(f"opset: expected {OPSETS[0]} to {OPSETS[1]}, which isoline import reads, found {opset!r}")
    if opset is not None:
        usual = [Plan("dynamo", opset), Plan("torchscript", opset)]
        # Dynamo's smallest is 18, TorchScript's greatest 20; a plan of one's own is tried all the same.
        usual = (
            [p for p in usual if (18 <= opset if p.exporter == "dynamo" else opset <= 20)] if exporter == "auto" else usual
        )
    else:
        usual = [Plan("dynamo", 21), Plan("dynamo", 18), Plan("torchscript", 17)]
    return [p for p in usual if exporter in ("auto", p.exporter)]


def write(plan: Plan, subject: Subject, dynamic: bool) -> Any:
    """The model as an ONNX message. Raises whatever the exporter raises."""
    if plan.exporter == "dynamo":
        need("onnxscript", "dynamo")
    # A batch of one would be taken for a constant where rows are free.
    latents = subject.latents(2 if dynamic else 1)
    arguments = tuple(t.contiguous() for t in subject.inputs(latents))
    free = [True, *(has_rows(t) for t in subject.fixed.values())]
    names = [LATENT, *subject.fixed]
    common: dict[str, Any] = {
        "opset_version": plan.opset,
        "input_names": names,
        "output_names": [PICTURE],
        "verbose": False,
    }
    with quiet(), torch.no_grad():
        if plan.exporter == "dynamo":
            shapes = None
            if dynamic:
                axis = torch.export.Dim(ROWS)
                each = tuple({0: axis} if f else None for f in free)
                shapes = (each[0], each[1:]) if len(each) > 1 else each
            program = torch.onnx.export(
                subject.generator, arguments, dynamo=True, dynamic_shapes=shapes, external_data=False, **common
            )
            assert program is not None
            return program.model_proto
        axes = {n: {0: ROWS} for n, f in zip([*names, PICTURE], [*free, True], strict=True) if f} if dynamic else None
        file = io.BytesIO()
        torch.onnx.export(subject.generator, arguments, cast(Any, file), dynamo=False, dynamic_axes=axes, **common)
        return need("onnx", "export").load_from_string(file.getvalue())


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps the exporters' own remarks off the terminal: what matters of them is in the result."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            with contextlib.redirect_stderr(io.StringIO()):
                yield
    finally:
        logging.disable(before)
