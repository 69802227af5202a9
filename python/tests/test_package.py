"""The package as a whole: its version, its imports, what it says where a package is missing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import isoline


def test_the_version_is_that_of_the_program(root):
    cargo = root / "Cargo.toml"
    if not cargo.is_file():
        pytest.skip("the tests lie outside the repository")
    assert isoline.__version__ == re.search(r'^version = "(.+)"', cargo.read_text(), re.M).group(1)


def test_importing_needs_nothing():
    folder = Path(isoline.__file__).parents[1]
    code = "import sys, isoline; assert not {'torch', 'numpy', 'onnx', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {code}"], check=True)


@pytest.mark.parametrize("package", ["torch", "onnx"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(package, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)
    if package == "onnx":
        pytest.importorskip("torch")
    with pytest.raises(isoline.MissingPackage, match=f"export needs the package {package}; pip install {package}"):
        isoline.export(None, None, tmp_path / "g.onnx")


def test_modules_are_small():
    for file in Path(isoline.__file__).parent.glob("*.py"):
        lines = file.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 200, f"{file.name} has {len(lines)} lines"
        assert max(map(len, lines)) <= 125, file.name
