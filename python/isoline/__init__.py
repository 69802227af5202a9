"""Python beside isoline: write a generator as the file that `isoline import` reads, and read the folder of a run.

    import isoline
    isoline.export(generator, torch.randn(1, 64), "g.onnx")    # then: isoline import g.onnx -o models/g
    run = isoline.read_run("runs/g")
    run.table, run.pictures(), run.recipe

Importing this package needs nothing but Python; each function says which packages it needs.
"""

from isoline.errors import ExportError, IsolineError, MissingPackage, RunError
from isoline.exporting import export
from isoline.report import Export
from isoline.runs import Run, read_run

__version__ = "0.1.0"
__all__ = ["Export", "ExportError", "IsolineError", "MissingPackage", "Run", "RunError", "export", "read_run"]
