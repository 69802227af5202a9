"""Tries the exporters in turn, until a file is sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from isoline import onnxfile
from isoline.errors import ExportError, first_line
from isoline.subject import Subject
from isoline.writers import Plan, write


@dataclass(frozen=True)
class Sound:
    """A file that means what the module means."""

    # The file, and that of its weights where they lie beside it.
    files: list[Path]
    # The file as it reads, an ONNX message.
    model: Any
    plan: Plan
    # What the comparison said.
    checked: str
    # Why the plans before it were not taken.
    tried: dict[str, str]

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        return next(o.version for o in self.model.opset_import if o.domain == "")


def first_sound(plans: list[Plan], subject: Subject, latents: torch.Tensor | None, dynamic: bool, path: Path) -> Sound:
    """Writes `path`, in a folder of its own, by the first plan that gives a sound file. With `latents`, onnxruntime must
    agree on them.

    Raises ExportError with every reason where no plan does.
    """
    tried: dict[str, str] = {}
    captured = True
    for plan in plans:
        if plan.exporter == "dynamo" and not captured:
            continue
        for old in path.parent.iterdir():
            old.unlink()
        try:
            model = write(plan, subject, dynamic)
            onnxfile.clean(model)
            onnxfile.save(model, path)
            model = onnxfile.inspect(path, subject, dynamic)
            said = None if latents is None else onnxfile.compare(path, subject, latents, dynamic)
        except onnxfile.Unfit as error:
            tried[str(plan)] = str(error)
        except Exception as error:
            # Where the module could not be followed, another opset does not help.
            captured = captured and type(error).__name__ != "TorchExportError"
            tried[str(plan)] = first_line(error)
        else:
            missing = "by onnx" + (", not by onnxruntime, which is not installed" if latents is not None else "")
            return Sound(sorted(path.parent.iterdir()), model, plan, said or missing, tried)
    reasons = "; ".join(f"{plan}: {why}" for plan, why in tried.items())
    advice = "replace what they name, or export the part behind it"
    raise ExportError(f"no exporter can write {subject.kind}: {reasons}; {advice}")
