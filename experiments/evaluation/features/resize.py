"""A plane of bytes in other sizes, by PIL and PyTorch: tests/golden/features/resize.json. Pillow must be older than 13, which
takes the height first where that is less work.

    python resize.py ../../../tests/golden/features/resize.json
"""
import json
import sys

import numpy as np
import torch
from PIL import Image

INTERPOLATE = torch.nn.functional.interpolate


def torch_way(**how):
    return lambda x, size: INTERPOLATE(torch.tensor(x)[None, None].double(), size=size, **how)[0, 0].numpy()


def pil_bytes(resample):
    return lambda x, size: np.asarray(Image.fromarray(x.astype(np.uint8)).resize(size[::-1], resample))


def clean_fid(x, size):
    """What cleanfid.resize.make_resizer("PIL", False, "bicubic", size) does to one channel."""
    image = Image.fromarray(x.astype(np.float32), mode="F")
    return np.asarray(image.resize(size[::-1], resample=Image.BICUBIC)).clip(0, 255)


METHODS = {
    "torch-bilinear": torch_way(mode="bilinear", align_corners=False),
    "torch-bicubic": torch_way(mode="bicubic", align_corners=False),
    "torch-area": torch_way(mode="area"),
    "torch-bilinear-antialias": torch_way(mode="bilinear", align_corners=False, antialias=True),
    "torch-bicubic-antialias": torch_way(mode="bicubic", align_corners=False, antialias=True),
    "pil-bilinear": pil_bytes(Image.BILINEAR),
    "pil-bicubic": pil_bytes(Image.BICUBIC),
    "clean-fid": clean_fid,
}
SIZES = [((7, 5), (3, 4)), ((5, 7), (9, 11)), ((8, 8), (8, 3)), ((13, 6), (4, 10)), ((2, 3), (5, 5)), ((1, 9), (4, 4))]

cases = []
for (h, w), to in SIZES:
    # Edges that overshoot, and every level.
    plane = np.array([[255 * ((i + j) % 2) if i < h // 2 else (i * 37 + j * 91 + i * j * 13) % 256 for j in range(w)]
                      for i in range(h)], dtype=float)
    values = {name: [float(v) for v in way(plane, to).ravel()] for name, way in METHODS.items()}
    cases.append({"from": [h, w], "to": list(to), "plane": plane.ravel().tolist(), "values": values})
json.dump(cases, open(sys.argv[1], "w"))
