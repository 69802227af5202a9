"""`read_run`: the table, the pictures and the recipe of a finished run."""

from __future__ import annotations

import os
import tomllib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isoline import png
from isoline.errors import RunError, need

if TYPE_CHECKING:
    import numpy
    import pyarrow

TABLE = "samples.parquet"
PURPOSE = "read_run"
INSTALL = "numpy pyarrow"


def read_run(folder: str | os.PathLike[str]) -> Run:
    """The finished run of `isoline generate` in `folder`.

    Raises RunError where there is no such folder, no run or an unfinished one.
    """
    return Run(Path(folder))


class Run:
    """A run folder. Nothing but its plan is read before it is asked for."""

    def __init__(self, folder: Path):
        self.folder = folder
        if not folder.is_dir():
            what = "this is a file, not a folder" if folder.exists() else "no such folder"
            raise RunError(f"{folder}: {what}; give the folder that isoline generate has written, as in runs/x")
        if not (folder / "plan.toml").is_file():
            hint = "give the folder that isoline generate has written"
            if (folder.absolute().parent / "plan.toml").is_file():
                hint = f"the run's folder is {folder.parent}"
            raise RunError(f"{folder}: no plan.toml here, so this is no run folder; {hint}")
        self.plan = read_toml(folder / "plan.toml")
        kind = self.plan.get("kind")
        if kind != "generate":
            raise RunError(
                f"{folder}: expected a run of isoline generate, found kind {kind!r}; read its tables with pyarrow"
            )
        self._jobs: dict[str, dict[str, Any]] = {j["name"]: j for j in self.plan["work"]["jobs"]}
        if not (folder / TABLE).is_file():
            raise unfinished(folder, f"there is no {TABLE} yet")

    @cached_property
    def table(self) -> pyarrow.Table:
        """One row per picture; `isoline list columns` says what each column means."""
        parquet = need("pyarrow.parquet", PURPOSE, INSTALL)
        path = self.folder / TABLE
        try:
            table = parquet.read_table(path, partitioning=None)
        except Exception as error:
            line = (str(error).splitlines() or [""])[0]
            raise RunError(f"{path}: not a Parquet file ({line}); isoline resume {self.folder} writes it again") from error
        planned = sum(count(str(job["seeds"])) for job in self._jobs.values())
        if table.num_rows != planned:
            raise unfinished(self.folder, f"{TABLE} has {table.num_rows} of {planned} pictures")
        return table

    def __getitem__(self, column: str) -> numpy.ndarray:
        """A column as a NumPy array; empty places of a column of numbers are NaN."""
        if column not in self.table.column_names:
            raise RunError(f'{self.folder / TABLE}: no column "{column}"; there are {", ".join(self.table.column_names)}')
        return self.table.column(column).to_numpy()

    @property
    def recipes(self) -> dict[str, dict[str, Any]]:
        """The recipe of each job, by its name."""
        return {name: read_toml(self._home(name) / "recipe.toml") for name in self._jobs}

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that the pictures depend on besides their seeds. Raises RunError where the run has several jobs."""
        recipes = self.recipes
        if len(recipes) == 1:
            return next(iter(recipes.values()))
        names = ", ".join(recipes)
        raise RunError(f'{self.folder}: this run has {len(recipes)} recipes, {names}; take recipes["{next(iter(recipes))}"]')

    @property
    def has_picture(self) -> numpy.ndarray:
        """Of each row of the table, whether it has a picture: a sample that is not finite has none."""
        numpy = need("numpy", PURPOSE, INSTALL)
        return numpy.array([f is not None for f in self.table.column("file").to_pylist()], bool)

    @property
    def files(self) -> list[Path]:
        """The picture files, in the order of the table."""
        rows = self.table.select(["job", "file"]).to_pylist()
        return [self._picture(row["job"], row["file"]) for row in rows if row["file"] is not None]

    def pictures(self) -> numpy.ndarray:
        """All pictures as uint8 [n, height, width, channels], in the order of the table; rows where `has_picture` is
        false have none."""
        numpy = need("numpy", PURPOSE, INSTALL)
        read = []
        for path in self.files:
            try:
                read.append(png.pixels(path.read_bytes()))
            except FileNotFoundError:
                raise RunError(f"{path}: the picture is missing; isoline resume {self.folder} makes it again") from None
            except ValueError as error:
                raise RunError(f"{path}: {error}; isoline resume {self.folder} makes it again") from error
            if read[-1].shape != read[0].shape:
                raise RunError(
                    f"{path}: expected a picture of {shown(read[0])} as the first, found {shown(read[-1])}; read them one "
                    "by one from files"
                )
        return numpy.stack(read) if read else numpy.zeros((0, 0, 0, 0), numpy.uint8)

    def latents(self) -> numpy.ndarray:
        """The latents as float32 [rows, d], NaN where a sample is not finite. Raises RunError where none were kept."""
        numpy = need("numpy", PURPOSE, INSTALL)
        width = sum(name.startswith("z_") and name[2:].isdigit() for name in self.table.column_names)
        if width == 0:
            raise RunError(f"{self.folder}: the latents were not kept; generate with --save-latents into another folder")
        return numpy.stack([self[f"z_{i}"] for i in range(width)], axis=1).astype(numpy.float32)

    def __len__(self) -> int:
        return self.table.num_rows

    def __repr__(self) -> str:
        jobs = ", ".join(f"{name} (seeds {job['seeds']})" for name, job in self._jobs.items())
        return f"run {self.folder}: {jobs}"

    def _home(self, job: str) -> Path:
        return self.folder / self._jobs[job]["folder"]

    def _picture(self, job: str, file: str) -> Path:
        path = self._home(job) / file
        if ".." in Path(file).parts or Path(file).is_absolute():
            raise RunError(f"{self.folder / TABLE}: the picture {file!r} lies outside the run; the table is damaged")
        return path


def unfinished(folder: Path, why: str) -> RunError:
    """The error for a run that is still to be finished."""
    return RunError(f"{folder}: this run is not finished: {why}; isoline resume {folder} goes on with it")


def read_toml(path: Path) -> dict[str, Any]:
    """Raises RunError naming the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: could not be read: {error.strerror}; is this a whole run folder?") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: not a TOML file: {error}; copy the run folder again") from error


def count(seeds: str) -> int:
    """How many seeds an expression such as 0-63,99 holds, each once."""
    found: set[int] = set()
    for part in seeds.split(","):
        first, _, last = part.strip().partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return len(found)


def shown(picture: numpy.ndarray) -> str:
    """As in 28 × 28 × 1."""
    return " × ".join(map(str, picture.shape))
