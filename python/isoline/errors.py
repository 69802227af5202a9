"""What can go wrong. A message is one sentence: the name, what was expected and found, and what to do."""

import importlib
from types import ModuleType


class IsolineError(Exception):
    """Every error that this package raises on purpose."""


class ExportError(IsolineError, ValueError):
    """A module cannot be written as a file that means the same."""


class RunError(IsolineError, ValueError):
    """A folder is no finished run, or does not hold what was asked for."""


class MissingPackage(IsolineError, ImportError):
    """A package is needed that is not installed."""


def need(package: str, purpose: str, install: str | None = None) -> ModuleType:
    """The imported `package`.

    Raises MissingPackage with the command that installs it; `purpose` completes "… needs the package".
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        root = package.partition(".")[0]
        if (getattr(error, "name", None) or "").partition(".")[0] == root:
            said = f"{purpose} needs the package {root}; pip install {install or root}"
        else:
            said = f"{purpose} needs the package {root}, and it could not be loaded: {error}"
        raise MissingPackage(said) from error


def first_line(error: BaseException, most: int = 200) -> str:
    """The heart of an error as one line: its kind and the first line of the innermost cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= most else text[: most - 1] + "…"
