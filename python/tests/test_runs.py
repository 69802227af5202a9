"""Run folders: one made by hand in the layout that the program writes, and a real one where there is a program."""

import struct
import subprocess
import zlib
from pathlib import Path

import pytest

import isoline
from isoline import png

numpy = pytest.importorskip("numpy")
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def encoded(picture: "numpy.ndarray", filters: list[int]) -> bytes:
    """A PNG whose rows have these filters, the row's number picking one."""
    height, width, channels = picture.shape
    rows, stride = picture.reshape(height, -1).astype(int), channels
    lines = bytearray()
    for r in range(height):
        kind = filters[r % len(filters)]
        lines.append(kind)
        for i in range(width * channels):
            a = rows[r, i - stride] if i >= stride else 0
            b = rows[r - 1, i] if r else 0
            c = rows[r - 1, i - stride] if r and i >= stride else 0
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            guess = [0, a, b, (a + b) // 2, nearest][kind]
            lines.append((rows[r, i] - guess) % 256)
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    data = zlib.compress(bytes(lines))
    half = len(data) // 2
    parts = [
        chunk(b"IHDR", head),
        chunk(b"tEXt", b"parameters\0x"),
        chunk(b"IDAT", data[:half]),
        chunk(b"IDAT", data[half:]),
    ]
    return png.SIGNATURE + b"".join(parts) + chunk(b"IEND", b"")


def picture(seed: int, channels: int = 3) -> "numpy.ndarray":
    return numpy.random.default_rng(seed).integers(0, 256, (6, 9, channels), dtype=numpy.uint8)


def made(folder: Path, jobs: list[str], latents: int = 0, blank: int | None = None) -> Path:
    """A run of seeds 0-2 in each job. `blank` is a seed whose samples are not finite."""
    rows: dict[str, list] = {"job": [], "seed": [], "psi_k": [], "status": [], "file": []}
    rows |= {f"z_{i}": [] for i in range(latents)}
    plan = 'format = 1\nkind = "generate"\n[work]\ncsv = false\n'
    for number, job in enumerate(jobs):
        home = folder / (job if len(jobs) > 1 else ".")
        (home / "images").mkdir(parents=True)
        plan += f'[[work.jobs]]\nname = "{job}"\nfolder = "{home.relative_to(folder)}"\nmodel = "m"\nseeds = "0-1,2"\n'
        (home / "recipe.toml").write_text(f'format = 1\nmodel = "m"\nnovelty = {10.0 + number}\n[settings]\nsteps = 48\n')
        for seed in range(3):
            finite = seed != blank
            file = f"images/{seed:06}.png"
            if finite:
                (home / file).write_bytes(encoded(picture(10 * number + seed), [0, 1, 2, 3, 4]))
            for key, value in [("job", job), ("seed", seed), ("psi_k", 1.5 * seed if finite else None),
                               ("status", "ok" if finite else "non_finite"),
                               ("file", file if finite else None)]:  # fmt: skip
                rows[key].append(value)
            for i in range(latents):
                rows[f"z_{i}"].append(seed + i / 10 if finite else None)
    (folder / "plan.toml").write_text(plan)
    schema = {
        "seed": pyarrow.uint64(),
        "psi_k": pyarrow.float64(),
        **{f"z_{i}": pyarrow.float64() for i in range(latents)},
    }
    table = pyarrow.table({k: pyarrow.array(v, schema.get(k, pyarrow.string())) for k, v in rows.items()})
    parquet.write_table(table, folder / "samples.parquet")
    return folder


def test_a_run_of_one_job(tmp_path):
    run = isoline.read_run(made(tmp_path / "x", ["novel"], latents=4))
    assert len(run) == 3 and run.table["seed"].to_pylist() == [0, 1, 2]
    assert run.pictures().dtype == numpy.uint8
    numpy.testing.assert_array_equal(run.pictures(), numpy.stack([picture(s) for s in range(3)]))
    assert run.recipe["novelty"] == 10.0 and run.recipe["settings"]["steps"] == 48
    assert run.latents().dtype == numpy.float32
    numpy.testing.assert_allclose(run.latents(), [[s + i / 10 for i in range(4)] for s in range(3)], rtol=1e-6)
    assert "novel (seeds 0-1,2)" in repr(run)


def test_a_run_of_several_jobs(tmp_path):
    run = isoline.read_run(str(made(tmp_path / "x", ["typical", "novel"])))
    assert run.table["job"].to_pylist() == ["typical"] * 3 + ["novel"] * 3
    numpy.testing.assert_array_equal(run.pictures()[3:], numpy.stack([picture(10 + s) for s in range(3)]))
    assert run.recipes["novel"]["novelty"] == 11.0
    with pytest.raises(isoline.RunError, match=r'2 recipes, typical, novel; take recipes\["typical"\]'):
        run.recipe
    with pytest.raises(isoline.RunError, match="--save-latents"):
        run.latents()


def test_a_sample_that_is_not_finite_has_no_picture(tmp_path):
    run = isoline.read_run(made(tmp_path / "x", ["novel"], latents=2, blank=1))
    assert run.has_picture.tolist() == [True, False, True] and run.pictures().shape == (2, 6, 9, 3)
    assert numpy.isnan(run["psi_k"]).tolist() == [False, True, False]
    assert numpy.isnan(run.latents()).all(axis=1).tolist() == [False, True, False]


def test_what_is_no_finished_run_is_named_with_what_to_do(tmp_path):
    with pytest.raises(isoline.RunError, match="nowhere: no such folder; give the folder"):
        isoline.read_run(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(isoline.RunError, match="file: this is a file, not a folder"):
        isoline.read_run(tmp_path / "file")
    with pytest.raises(isoline.RunError, match="no plan.toml here, so this is no run folder"):
        isoline.read_run(tmp_path)
    run = made(tmp_path / "x", ["a", "b"])
    with pytest.raises(isoline.RunError, match=f"the run's folder is {run}"):
        isoline.read_run(run / "a")
    (run / "plan.toml").write_text((run / "plan.toml").read_text().replace("0-1,2", "0-9"))
    with pytest.raises(isoline.RunError, match=f"not finished: samples.parquet has 6 of 20 pictures; isoline resume {run}"):
        isoline.read_run(run).table
    (run / "samples.parquet").unlink()
    with pytest.raises(isoline.RunError, match=f"not finished: there is no samples.parquet yet; isoline resume {run}"):
        isoline.read_run(run)
    (run / "plan.toml").write_text('format = 1\nkind = "describe"\n[work]\n')
    with pytest.raises(isoline.RunError, match="found kind 'describe'"):
        isoline.read_run(run)


def test_damaged_files_are_named(tmp_path):
    folder = made(tmp_path / "x", ["novel"])
    run = isoline.read_run(folder)
    with pytest.raises(isoline.RunError, match='no column "psi"; there are job, seed'):
        run["psi"]
    file = folder / "images/000001.png"
    whole = file.read_bytes()
    for damaged in (whole[:-20], whole[:60] + b"?" + whole[61:], b"<html>"):
        file.write_bytes(damaged)
        with pytest.raises(isoline.RunError, match="000001.png: .*; isoline resume"):
            run.pictures()
    file.write_bytes(encoded(picture(1, 1), [4]))
    with pytest.raises(isoline.RunError, match="expected a picture of 6 × 9 × 3 as the first, found 6 × 9 × 1"):
        run.pictures()
    file.unlink()
    with pytest.raises(isoline.RunError, match="000001.png: the picture is missing"):
        run.pictures()
    (folder / "samples.parquet").write_bytes(b"PAR1")
    with pytest.raises(isoline.RunError, match="samples.parquet: not a Parquet file"):
        isoline.read_run(folder).table


def test_a_table_cannot_name_files_elsewhere(tmp_path):
    folder = made(tmp_path / "x", ["novel"])
    table = parquet.read_table(folder / "samples.parquet")
    at = table.column_names.index("file")
    for name in ("../../secret.png", "/secret.png"):
        parquet.write_table(table.set_column(at, "file", pyarrow.array([name] * 3)), folder / "samples.parquet")
        with pytest.raises(isoline.RunError, match="lies outside the run"):
            isoline.read_run(folder).pictures()


def test_a_missing_pyarrow_is_named(tmp_path, monkeypatch):
    import sys

    run = isoline.read_run(made(tmp_path / "x", ["novel"]))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(isoline.MissingPackage, match="read_run needs the package pyarrow; pip install numpy pyarrow"):
        run.table


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("filters", [[0], [1], [2], [3], [4], [4, 0, 3, 1, 2]])
def test_every_filter_of_png_is_read(channels, filters):
    wanted = picture(5, channels)
    numpy.testing.assert_array_equal(png.pixels(encoded(wanted, filters)), wanted)


def test_a_run_of_the_program(program, tmp_path):
    folder = tmp_path / "run"
    command = [program, "generate", "--seeds", "0-2", "--save-latents", "-q", "-o", folder]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)
    run = isoline.read_run(folder)
    assert len(run) == 9 and run.pictures().shape[0] == 9 and run.latents().shape[0] == 9
    assert set(run.recipes) == {"typical", "balanced", "novel"}
    assert set(run["seed"].tolist()) == {0, 1, 2} and run["psi_k"].dtype == numpy.float64
    image = pytest.importorskip("PIL.Image")
    for file, found in zip(run.files, run.pictures(), strict=True):
        wanted = numpy.asarray(image.open(file)).reshape(found.shape)
        numpy.testing.assert_array_equal(found, wanted)
