"""What `export` writes, imported by the program and made into pictures. Runs where ISOLINE names a program and
ISOLINE_IMPORT is set."""

import os
import subprocess

import pytest

torch = pytest.importorskip("torch")
numpy = pytest.importorskip("numpy")
pytest.importorskip("pyarrow")

import isoline
import modules

pytestmark = pytest.mark.skipif(not os.environ.get("ISOLINE_IMPORT"), reason="ISOLINE_IMPORT is not set")


def run(*command: object) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize("name", modules.GOOD)
def test_the_program_imports_the_file_and_makes_pictures(name, exporter, program, tmp_path):
    make, shape, fixed = modules.GOOD[name]
    file = tmp_path / f"{name}.onnx"
    result = isoline.export(modules.seeded(make), torch.zeros(1, *shape), file, fixed=fixed, exporter=exporter)
    # What is fixed is found in the reference beside the file.
    print(run(program, "import", file, "-o", tmp_path / "model"))
    assert (tmp_path / "model" / "card.toml").is_file()
    command = ["generate", "-m", tmp_path / "model", "--mode", "balanced", "--seeds", "0-2", "-q", "-o", tmp_path / "run"]
    run(program, *command, "--device", "cpu")
    pictures = isoline.read_run(tmp_path / "run").pictures()
    channels, height, width = result.picture
    assert pictures.shape == (3, height, width, channels)
    assert not numpy.array_equal(pictures[0], pictures[1])
