"""What `export` says when it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Export:
    """A written file. Printing it gives a few plain lines."""

    path: Path
    reference: Path
    exporter: str
    opset: int
    nodes: int
    operators: dict[str, int]
    parameters: int
    latent: tuple[int, ...]
    picture: tuple[int, ...]
    range: tuple[float, float]
    batch: int | str
    rows: int
    spectra: tuple[int, ...]
    fixed: dict[str, tuple[int, ...]] = field(default_factory=dict)
    checked: str = ""
    tried: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def lines(self) -> list[str]:
        """The lines that are printed."""
        rows = "rows" if self.batch == "dynamic" else "1"
        low, high = self.range
        kinds = sorted(self.operators.items(), key=lambda item: (-item[1], item[0]))
        graph = ", ".join(f"{name} {count}" for name, count in kinds[:5]) + (", …" if len(kinds) > 5 else "")
        told = [
            (
                "file",
                f"{self.path}: {self.exporter}, opset {self.opset}, {self.nodes} nodes, {self.parameters:,} parameters",
            ),
            ("graph", graph),
            ("latent", f'"latent" [{rows}, {numbers(self.latent)}], taken as N(0, I)'),
            (
                "picture",
                f'"picture" [{rows}, {numbers(self.picture)}], {low:.3g} to {high:.3g} on {count(self.rows, "latent")}',
            ),
        ]
        told += [
            ("fixed", f'"{name}" [{numbers(shape)}]; its value is in the reference') for name, shape in self.fixed.items()
        ]
        told.append(("checked", self.checked))
        spectra = f", {self.spectra[0]} × {self.spectra[1]} singular values" if self.spectra else ""
        told.append(("reference", f"{self.reference}: {count(self.rows, 'picture')}{spectra}"))
        told += [("tried", f"{plan}: {why}") for plan, why in self.tried.items()]
        told += [("note", note) for note in self.notes]
        told.append(("next", f"isoline import {self.path} -o models/{self.path.stem}"))
        return [f"{word:<10} {text}" for word, text in told if text]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    __repr__ = __str__


def numbers(shape: tuple[int, ...]) -> str:
    """A shape without its brackets."""
    return ", ".join(map(str, shape))


def count(n: int, thing: str) -> str:
    """As in "1 latent" and "8 latents"."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"
