"""Networks of other people's packages, small and with random weights. Each skips where its package is not installed.

pip install torchgan stylegan2-pytorch pytorch-pretrained-biggan diffusers
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

import isoline
import modules

pytestmark = pytest.mark.foreign


def package(name: str):
    return pytest.importorskip(name, exc_type=ImportError)


def exported(make: Callable[[], torch.nn.Module], shape: tuple[int, ...], path: Path, **options: object) -> isoline.Export:
    result = isoline.export(modules.seeded(make), torch.zeros(1, *shape), path / "g.onnx", **options)
    print(result)
    assert Path.home().as_posix().encode() not in result.path.read_bytes()
    return result


def test_dcgan_of_torchgan(tmp_path):
    models = package("torchgan.models")

    def make():
        return models.DCGANGenerator(encoding_dims=16, out_size=32, step_channels=4)

    result = exported(make, (16,), tmp_path)
    assert (result.exporter, result.opset, result.picture) == ("dynamo", 21, (3, 32, 32))
    assert result.spectra == (2, 16)


@pytest.mark.parametrize("batch", [1, "dynamic"])
def test_a_decoder_of_diffusers(batch, tmp_path):
    diffusers = package("diffusers")

    class Decoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vae = diffusers.AutoencoderKL(
                block_out_channels=(8, 8),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                norm_num_groups=4,
                layers_per_block=1,
            )

        def forward(self, z):
            return self.vae.decode(z)

    result = exported(Decoder, (4, 4, 4), tmp_path, batch=batch)
    assert (result.opset, result.picture, result.spectra) == (21, (3, 8, 8), (2, 64))
    assert result.operators["GroupNormalization"] > 5


def test_a_denoiser_of_diffusers_with_a_fixed_time(tmp_path):
    diffusers = package("diffusers")

    def make():
        return diffusers.UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            norm_num_groups=4,
        )

    result = exported(make, (1, 8, 8), tmp_path, fixed={"timestep": torch.tensor([20]), "return_dict": True})
    assert result.picture == (1, 8, 8) and result.fixed == {"timestep": (1,)}


def test_biggan_with_a_class(tmp_path):
    biggan = package("pytorch_pretrained_biggan")
    label = torch.nn.functional.one_hot(torch.tensor([3]), 10).float()

    def make():
        config = biggan.BigGANConfig(
            output_dim=16,
            z_dim=16,
            class_embed_dim=16,
            channel_width=4,
            num_classes=10,
            layers=[(True, 16, 8), (False, 8, 4), (True, 4, 2), (False, 2, 1)],
            attention_layer_position=1,
        )
        module = biggan.BigGAN(config)
        # The package leaves some of its weights as the memory was.
        for name, weight in module.named_parameters():
            if weight.dim() == 1:
                torch.nn.init.normal_(weight, 1.0 if name.endswith("weight") else 0.0, 0.2)
        # Spectral norms find their vectors in training mode.
        for _ in range(10):
            module(torch.randn(1, 16), label, 1.0)
        return module

    result = exported(make, (16,), tmp_path, fixed={"class_label": label, "truncation": 1.0})
    assert result.picture[0] == 3 and result.fixed == {"class_label": (1, 10)}
    assert result.spectra == (2, 16)


def test_stylegan2_with_a_fixed_noise(tmp_path, monkeypatch):
    # The package refuses to be imported without a GPU and needs none here.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    stylegan2 = package("stylegan2_pytorch.stylegan2_pytorch")
    monkeypatch.undo()

    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.style = stylegan2.StyleVectorizer(16, 2)
            self.synthesis = stylegan2.Generator(16, 16, network_capacity=2, fmap_max=8)
            self.register_buffer("noise", torch.rand(1, 16, 16, 1))

        def forward(self, z):
            w = self.style(z)
            return self.synthesis(
                w[:, None].expand(-1, self.synthesis.num_layers, -1), self.noise.expand(z.shape[0], -1, -1, -1)
            )

    result = exported(Whole, (16,), tmp_path)
    assert result.picture == (3, 16, 16) and result.spectra == (2, 16)
