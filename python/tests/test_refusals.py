"""Bad modules and bad arguments: one sentence each, with the layer and what to do."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch import nn

import isoline
import modules
from modules import head

LATENT = torch.zeros(1, 6)
BAD = {
    "noise": (lambda: head(("smooth", nn.Identity()), ("noise2", modules.Noise())),
              ["the module draws noise in every call: layer noise2 (Noise); fix it with"]),
    "noise in two layers": (lambda: head(("a", modules.Noise()), ("b", modules.Noise())),
                            ["layer a (Noise), layer b (Noise)"]),
    "noise outside layers": (lambda: modules.Returns(lambda x: x + torch.rand(1)), ["the module itself (Returns)"]),
    "another picture every time": (lambda: head(("count", modules.Counter())),
                                   ["another picture in every call, first in layer count (Counter)"]),
    "a mean over the batch": (lambda: head(("centre", modules.Centre())),
                              ["mixes the pictures of a batch, first in layer centre (Centre)", "running statistics"]),
    "a norm without statistics of its own": (lambda: head(("norm", nn.BatchNorm2d(3, track_running_stats=False))),
                                             ["mixes the pictures of a batch, first in layer norm (BatchNorm2d)"]),
    "an if": (lambda: head(("gate", modules.Gate())),
              ["the module decides by the latent: layer gate (Gate) turns", "torch.where"]),
    "not finite": (lambda: head(("root", modules.Root())), ["not finite, first in layer root (Root)"]),
    "integers": (lambda: modules.Returns(lambda x: (255 * x).long()),
                 ["Returns returns int64 [1, 3, 4, 4]", "return floats"]),
    "no picture": (lambda: modules.Returns(lambda x: (x.mean(), x.flatten(1))),
                   ["returns tuple of [], [1, 48], and no tensor of four axes", "output=0"]),
    "nothing": (lambda: modules.Returns(lambda x: None), ["returns NoneType of no tensor"]),
    "no rows": (lambda: modules.Returns(lambda x: x[0, 0]), ["returns [4, 4] for one latent"]),
    "no latent": (lambda: modules.Returns(lambda x: 0 * x + 1), ["gives the same picture for 8 latents"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_module_is_refused_in_one_sentence_and_nothing_is_written(case, tmp_path):
    make, said = BAD[case]
    with pytest.raises(isoline.ExportError) as caught:
        isoline.export(modules.seeded(make), LATENT, tmp_path / "g.onnx")
    message = str(caught.value)
    assert "\n" not in message and ";" in message or "?" in message, message
    for words in said:
        assert words in message, message
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_draws_noise_is_refused_though_its_strength_is_0(tmp_path):
    module = modules.Returns(lambda x: x + 0 * torch.randn_like(x))
    with pytest.raises(isoline.ExportError, match="draws noise"):
        isoline.export(module, LATENT, tmp_path / "g.onnx", exporter="torchscript")


def test_a_branch_that_one_exporter_froze_is_found_by_onnxruntime(tmp_path):
    pytest.importorskip("onnxruntime")

    class Hidden(nn.Module):
        """Branches where no one looks: NumPy makes the number."""

        def forward(self, x):
            return x * 2 if x.detach().numpy().mean() > 0 else x * 3

    with pytest.raises(isoline.ExportError, match="torchscript opset 17: onnxruntime differs"):
        isoline.export(
            modules.seeded(lambda: head(("hidden", Hidden()))), LATENT, tmp_path / "g.onnx", exporter="torchscript"
        )


def test_a_branch_that_no_latent_leaves_is_a_note(tmp_path):
    class Guard(nn.Module):
        """Looks at its values, as assertions do, and at a copy of them that was put together piece by piece."""

        def forward(self, x):
            y = torch.zeros_like(x)
            y[:, :1] = x[:, :1]
            assert torch.zeros_like(x).sum() == 0
            return x * 2 if y.abs().max() < 1e6 else x

    result = isoline.export(head(("guard", Guard())), LATENT, tmp_path / "g.onnx")
    assert result.exporter == "torchscript"
    said = [n for n in result.notes if "layer guard (Guard) turns a value that depends on the latent" in n]
    assert len(said) == 1 and "it was the same for 66 latents" in said[0], result.notes


def test_a_rare_branch_is_found(tmp_path):
    body = modules.seeded(head)
    with torch.no_grad():
        means = body(torch.randn(2000, 6, generator=torch.Generator().manual_seed(3))).flatten(1).mean(1)
    often = means.quantile(0.93).item()

    class Rare(nn.Module):
        """Takes the other branch for 7 latents of 100."""

        def forward(self, x):
            return x if x.mean() < often else 2 * x

    body.add_module("rare", Rare())
    with pytest.raises(isoline.ExportError, match=r"layer rare \(Rare\)"):
        isoline.export(body, LATENT, tmp_path / "g.onnx")


ARGUMENTS = {
    "a function": (dict(module=lambda z: z), "module: expected a torch.nn.Module, found function; wrap it"),
    "integers": (
        dict(example_latent=torch.zeros(1, 6, dtype=torch.long)),
        "expected a tensor of floats, found torch.int64",
    ),
    "no batch": (dict(example_latent=torch.zeros(6)), r"expected a batch axis first, as in \[1, 64\], found \[6\]"),
    "wrong width": (
        dict(example_latent=torch.zeros(1, 5)),
        r"Sequential does not run on a latent \[1, 5\]: RuntimeError",
    ),
    "a name": (dict(fixed={"label": 3}), 'forward of Sequential takes no argument "label" besides the latent'),
    "an output": (dict(output="sample"), 'nothing is called "sample" in the Tensor'),
    "a batch": (dict(batch=4), 'batch: expected 1 or "dynamic", found 4'),
    "rows": (dict(rows=0), "rows: expected a whole number from 1, found 0"),
    "an exporter": (dict(exporter="fast"), "exporter: expected .* found 'fast'"),
    "an opset": (dict(opset=12), "opset: expected 13 to 21"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_a_bad_argument_is_named(case, tmp_path):
    changed, said = ARGUMENTS[case]
    arguments = {"module": head(), "example_latent": LATENT, "path": tmp_path / "g.onnx", **changed}
    with pytest.raises(isoline.ExportError, match=said):
        isoline.export(arguments.pop("module"), arguments.pop("example_latent"), arguments.pop("path"), **arguments)


def test_the_file_must_be_named_onnx(tmp_path):
    with pytest.raises(isoline.ExportError, match="ends in .onnx"):
        isoline.export(head(), LATENT, tmp_path / "g.pt")


def test_two_rows_that_fail_are_a_note_at_batch_1_and_an_error_at_a_free_batch(tmp_path):
    module = modules.Returns(lambda x: x.reshape(1, 3, 4, 4))
    assert any("one latent at a time" in n for n in isoline.export(module, LATENT, tmp_path / "g.onnx").notes)
    with pytest.raises(isoline.ExportError, match=r"does not run on a latent \[2, 6\]"):
        isoline.export(module, LATENT, tmp_path / "h.onnx", batch="dynamic")


def test_without_looks_a_file_is_still_opened_again(tmp_path):
    result = isoline.export(head(("gate", modules.Gate())), LATENT, tmp_path / "g.onnx", exporter="torchscript", check=False)
    assert "not looked at" in str(result)
    with pytest.raises(isoline.ExportError, match="draws noise"):
        isoline.export(head(("n", modules.Noise())), LATENT, tmp_path / "h.onnx", exporter="torchscript", check=False)
