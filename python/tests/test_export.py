"""Files written of good modules: onnxruntime and PyTorch agree, the reference holds what it should, no path leaks."""

import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
numpy = pytest.importorskip("numpy")

import isoline
import modules

WAYS = [("auto", 1), ("auto", "dynamic"), ("torchscript", 1), ("torchscript", "dynamic")]


def written(name: str, folder: Path, **options: object) -> tuple[isoline.Export, torch.nn.Module, dict]:
    make, shape, fixed = modules.GOOD[name]
    module = modules.seeded(make)
    result = isoline.export(module, torch.zeros(1, *shape), folder / f"{name}.onnx", fixed=fixed, **options)
    return result, module, fixed


def tensors(path: Path) -> dict:
    return pytest.importorskip("safetensors.torch").load_file(path)


@pytest.mark.parametrize("exporter, batch", WAYS)
@pytest.mark.parametrize("name", modules.GOOD)
def test_a_file_agrees_with_pytorch_and_onnxruntime(name, exporter, batch, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    result, module, fixed = written(name, tmp_path, exporter=exporter, batch=batch)
    assert "onnxruntime" in result.checked
    assert result.opset == (17 if exporter == "torchscript" else 21), result.tried
    session = runtime.InferenceSession(result.path, providers=["CPUExecutionProvider"])
    by_name = {i.name: i for i in session.get_inputs()}
    assert list(by_name) == ["latent", *(n for n in fixed if isinstance(fixed[n], torch.Tensor))]
    assert by_name["latent"].shape[1:] == list(result.latent)
    assert isinstance(by_name["latent"].shape[0], str) if batch == "dynamic" else by_name["latent"].shape[0] == 1
    # Latents of this test's own, by the caller's module itself.
    module.eval()
    for rows in (1, 5) if batch == "dynamic" else (1,):
        z = torch.randn(rows, *result.latent, generator=torch.Generator().manual_seed(11))
        inputs = {n: v.expand(rows, *v.shape[1:]) for n, v in fixed.items() if isinstance(v, torch.Tensor)}
        with torch.no_grad():
            returned = module(z, **{**fixed, **inputs})
        picture = {"dcgan": lambda r: r, "vae": lambda r: r["sample"], "transformer": lambda r: r[1]}[name](returned)
        found = session.run(None, {"latent": z.numpy(), **{n: v.numpy() for n, v in inputs.items()}})[0]
        assert found.shape == tuple(picture.shape) == (rows, *result.picture)
        numpy.testing.assert_allclose(found, picture.numpy(), atol=2e-6)


@pytest.mark.parametrize("name", modules.GOOD)
def test_the_reference_holds_pictures_and_singular_values(name, tmp_path):
    result, module, fixed = written(name, tmp_path)
    found = tensors(result.reference)
    width = found["latents"][0].numel()
    inputs = {n: v for n, v in fixed.items() if isinstance(v, torch.Tensor)}
    shapes = {
        "latents": (torch.float32, (8, *result.latent)),
        "outputs": (torch.float32, (8, *result.picture)),
        "outputs_f64": (torch.float64, (8, *result.picture)),
        "singular_values": (torch.float64, (2, width)),
        **{f"fixed.{n}": (v.dtype, tuple(v.shape)) for n, v in inputs.items()},
    }
    assert {n: (t.dtype, tuple(t.shape)) for n, t in found.items()} == shapes
    assert result.reference == tmp_path / f"{name}.reference.safetensors"
    torch.testing.assert_close(found["outputs"].double(), found["outputs_f64"], atol=5e-6, rtol=0)
    assert all(torch.equal(found[f"fixed.{n}"], v) for n, v in inputs.items())
    # The Jacobian once more, in reverse mode.
    double = module.eval().double()

    def picture(z: torch.Tensor) -> torch.Tensor:
        returned = double(z[None], **fixed)
        return returned[1] if name == "transformer" else returned["sample"] if name == "vae" else returned

    for row in range(2):
        latent = found["latents"][row].double()
        jacobian = torch.autograd.functional.jacobian(picture, latent).reshape(-1, width)
        torch.testing.assert_close(found["singular_values"][row], torch.linalg.svdvals(jacobian), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize("name", modules.GOOD)
def test_no_path_of_the_machine_is_in_the_files(name, exporter, tmp_path):
    result, _, _ = written(name, tmp_path, exporter=exporter)
    told = [Path.home(), Path.cwd(), Path(torch.__file__).parent, Path(modules.__file__).parent, tmp_path]
    for file in (result.path, result.reference):
        data = file.read_bytes()
        for path in told:
            # A home of "/" would be found in every name.
            assert len(str(path)) < 3 or os.fsencode(path) not in data, f"{path} in {file.name}"
        assert b".py" not in data and b"stack_trace" not in data and b"pkg.torch" not in data


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_weights_have_the_names_of_the_module(exporter, tmp_path):
    result, module, _ = written("dcgan", tmp_path, exporter=exporter)
    names = {t.name for t in onnx.load(result.path).graph.initializer}
    assert {"second.weight", "second.bias", "last.weight"} <= names
    assert not any(n.startswith("module") for n in names)


def test_the_module_and_the_random_state_stay_as_they_were(tmp_path):
    module = modules.seeded(modules.Dcgan).half()
    module.norm.eval()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    modes = {n: m.training for n, m in module.named_modules()}
    state = torch.random.get_rng_state()
    isoline.export(module, torch.zeros(1, 16), tmp_path / "g.onnx")
    assert torch.equal(state, torch.random.get_rng_state())
    assert {n: m.training for n, m in module.named_modules()} == modes
    assert all(torch.equal(before[n], t) and t.dtype == before[n].dtype for n, t in module.state_dict().items())
    assert all(p.requires_grad for p in module.parameters())


def test_norms_in_training_mode_are_written_with_their_own_statistics(tmp_path):
    module = modules.seeded(modules.Dcgan).train()
    result = isoline.export(module, torch.zeros(4, 16), tmp_path / "g.onnx")
    z = tensors(result.reference)["latents"]
    with torch.no_grad():
        torch.testing.assert_close(tensors(result.reference)["outputs"], module.eval()(z), atol=2e-6, rtol=0)


def test_two_exports_give_the_same_bytes(tmp_path):
    first, _, _ = written("vae", tmp_path / "a")
    second, _, _ = written("vae", tmp_path / "b")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.reference.read_bytes() == second.reference.read_bytes()
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["vae.onnx", "vae.reference.safetensors"]


def test_the_result_prints_a_few_plain_lines(tmp_path):
    result, _, _ = written("transformer", tmp_path)
    lines = str(result).splitlines()
    assert [line.split()[0] for line in lines] == [
        "file", "graph", "latent", "picture", "fixed", "checked", "reference", "next",
    ]  # fmt: skip
    assert "dynamo, opset 21" in lines[0] and '"latent" [1, 4, 4, 4]' in lines[2] and '"y" [1]' in lines[4]
    assert lines[-1].endswith(f"isoline import {result.path} -o models/transformer")


def test_torchscript_follows_where_dynamo_cannot_and_the_result_says_why(tmp_path):
    class Once(torch.nn.Module):
        """Branches on a buffer, as the data-dependent start of ActNorm does."""

        def __init__(self):
            super().__init__()
            self.body = modules.head()
            self.register_buffer("started", torch.tensor(1.0))

        def forward(self, z):
            return self.body(z) if self.started > 0 else self.body(z) * 0

    result = isoline.export(Once(), torch.zeros(1, 6), tmp_path / "g.onnx")
    assert result.exporter == "torchscript" and result.opset == 17
    assert list(result.tried) == ["dynamo opset 21"] and result.tried["dynamo opset 21"]
    assert "tried      dynamo opset 21:" in str(result)


def test_large_weights_lie_in_a_file_beside_the_model(tmp_path, monkeypatch):
    from isoline import onnxfile

    monkeypatch.setattr(onnxfile, "INSIDE", 1000)
    result, _, _ = written("dcgan", tmp_path)
    assert "onnxruntime" in result.checked or "no onnxruntime" in result.checked
    assert (tmp_path / "dcgan.onnx.data").stat().st_size > 10_000 > result.path.stat().st_size
    entries = {
        e.key: e.value for t in onnx.load(result.path, load_external_data=False).graph.initializer for e in t.external_data
    }
    assert entries["location"] == "dcgan.onnx.data"


def test_the_picture_is_found_or_named(tmp_path):
    from types import SimpleNamespace

    cases = [
        (lambda x: (x.mean(), {"a": x}), None),
        (lambda x: SimpleNamespace(sample=x), None),
        (lambda x: SimpleNamespace(sample=x, other=0 * x), "sample"),
        (lambda x: (0 * x, [x]), "1.0"),
        (lambda x: {"out": (0 * x, x)}, "out.-1"),
        (lambda x: x.half(), None),
    ]
    for of, output in cases:
        module = modules.seeded(lambda of=of: modules.Returns(of))
        result = isoline.export(module, torch.zeros(1, 6), tmp_path / "g.onnx", output=output, exporter="torchscript")
        z = tensors(result.reference)["latents"]
        with torch.no_grad():
            torch.testing.assert_close(tensors(result.reference)["outputs"], module.body(z), atol=2e-3, rtol=0)


def test_results_kept_by_a_module_do_not_stop_the_copy(tmp_path):
    module = torch.nn.utils.spectral_norm(torch.nn.Linear(6, 48))
    module(torch.zeros(1, 6))
    whole = torch.nn.Sequential(module, torch.nn.Unflatten(1, (3, 4, 4)))
    assert isoline.export(whole, torch.zeros(1, 6), tmp_path / "g.onnx").spectra == (2, 6)


def test_more_latent_values_than_outputs_pad_the_spectrum_with_zeros(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(60, 12), torch.nn.Unflatten(1, (3, 2, 2)))
    values = tensors(isoline.export(module, torch.zeros(1, 60), tmp_path / "g.onnx").reference)["singular_values"]
    assert values.shape == (2, 60) and bool((values[:, 12:] == 0).all() and (values[:, :12] > 0).all())


def test_wide_latents_have_no_singular_values_and_it_is_said(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(600, 12), torch.nn.Unflatten(1, (3, 2, 2)))
    result = isoline.export(module, torch.zeros(1, 600), tmp_path / "g.onnx", rows=2)
    assert "singular_values" not in tensors(result.reference) and result.spectra == ()
    assert any("600 values" in note for note in result.notes)


def test_modules_that_only_know_their_gradient_have_singular_values(tmp_path):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(context, gradient):
            return 2 * context.saved_tensors[0] * gradient

    class Squared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = modules.head()

        def forward(self, z):
            return self.body(Square.apply(z)) if torch.is_grad_enabled() else self.body(z * z)

    result = isoline.export(Squared(), torch.zeros(1, 6), tmp_path / "g.onnx")
    assert result.spectra == (2, 6), result.notes
