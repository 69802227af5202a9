"""Two small networks with random weights as ONNX, and what PyTorch in f64 makes of pictures through PIL's preprocessing:
tests/golden/features/{cnn,vit}.onnx and encoders.json.

    python encoders.py ../../../tests/golden/features
"""
import json
import pathlib
import sys

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

folder = pathlib.Path(sys.argv[1])


class Cnn(nn.Module):
    """Convolutions, a batch norm with statistics, a grouped convolution, a mean over places: features [12], scores [5]."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=4), nn.GELU())
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


class Vit(nn.Module):
    """Patches of 8, a token of the class, one block of attention: the normalised token, [16]."""

    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads = heads
        self.patch = nn.Conv2d(3, width, 8, stride=8)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.place = nn.Parameter(torch.randn(1, 17, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        n, t, w = x.shape
        q, k, v = self.qkv(self.norms[0](x)).reshape(n, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        a = torch.softmax(q @ k.transpose(-1, -2) / (w // self.heads) ** 0.5, -1) @ v
        x = x + self.out(a.transpose(1, 2).reshape(n, t, w))
        return self.norms[2](x + self.mlp(self.norms[1](x)))[:, 0]


def pictures():
    """[5, 40, 48, 3]: what the test makes too."""
    i, y, x, c = np.ogrid[:5, :40, :48, :3]
    return ((i * 31 + y * 7 + x * 11 * (c + 1) + x * y * (i + 1)) % 256).astype(np.uint8)


def clean_fid(picture):
    planes = [Image.fromarray(picture[:, :, c].astype(np.float32), mode="F").resize((32, 32), Image.BICUBIC) for c in range(3)]
    x = torch.tensor(np.stack([np.asarray(p).clip(0, 255) for p in planes])).double() / 255
    return (x - 0.5) / 0.5


torchvision = transforms.Compose([
    transforms.Resize(36, interpolation=transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(32),
    transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])

torch.manual_seed(0)
cnn, vit = Cnn(), Vit()
with torch.no_grad():
    cnn.body[1].running_mean.normal_(0, 0.3)
    cnn.body[1].running_var.uniform_(0.5, 2)
    for p in cnn.parameters():
        p.mul_(1.5)
for name, model in [("cnn", cnn), ("vit", vit)]:
    model.eval()
    torch.onnx.export(model, (torch.zeros(1, 3, 32, 32),), folder / f"{name}.onnx", input_names=["image"],
                      output_names=["out"], dynamic_axes={"image": {0: "batch"}, "out": {0: "batch"}}, opset_version=17,
                      dynamo=False)
seen = {"cnn": torch.stack([torchvision(Image.fromarray(p)).double() for p in pictures()]),
        "vit": torch.stack([clean_fid(p) for p in pictures()])}
with torch.no_grad():
    cnn.double(), vit.double()
    pooled = cnn.body(seen["cnn"]).mean((2, 3))
    spatial = cnn.body[:3](seen["cnn"])[:, :2].flatten(1)
    result = {"cnn": {"features": pooled.tolist(), "probabilities": torch.softmax(cnn(seen["cnn"]), 1).tolist(),
                      "spatial": spatial[:, ::37].tolist()},
              "vit": {"features": vit(seen["vit"]).tolist()}}
json.dump(result, open(folder / "encoders.json", "w"))
