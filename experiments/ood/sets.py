"""Pictures from outside a distribution: IDX files of 28×28 and a zip of 64×64, from the shared data sets.

    sets.py DATASETS OUT

usual.idx       digits of the test set, to learn what is usual from
others.idx      other digits of the test set
blurred.idx     more of them, each pixel the mean of the nine around it
faint.idx       more of them, at three tenths of the contrast
omniglot.idx    handwritten letters, white on black
cats.idx        drawn cats
pneumonia.idx   X-rays
cifar.zip       colour pictures of other things, enlarged to 64×64
"""
import gzip
import io
import pathlib
import struct
import sys
import zipfile

import numpy as np
from PIL import Image, ImageOps

data, out = map(pathlib.Path, sys.argv[1:3])
out.mkdir(parents=True, exist_ok=True)
COUNT = 200


def write(name, pictures):
    pictures = np.asarray(pictures, dtype=np.uint8)
    with open(out / f"{name}.idx", "wb") as file:
        file.write(struct.pack(">4I", 2051, *pictures.shape) + pictures.tobytes())


with gzip.open(data / "mnist/t10k-images-idx3-ubyte.gz") as file:
    file.read(16)
    digits = np.frombuffer(file.read(), np.uint8).reshape(-1, 28, 28)
part = lambda i: digits[i * COUNT : (i + 1) * COUNT]
write("usual", part(0))
write("others", part(1))
padded = np.pad(part(2).astype(float), ((0, 0), (1, 1), (1, 1)))
shifts = [padded[:, r : r + 28, c : c + 28] for r in range(3) for c in range(3)]
write("blurred", np.mean(shifts, axis=0).round())
write("faint", (0.3 * part(3)).round())

letters = []
with zipfile.ZipFile(data / "omniglot/images_background_small1.zip") as archive:
    names = sorted(n for n in archive.namelist() if n.endswith(".png") and "__MACOSX" not in n)
    for name in names[:: len(names) // COUNT][:COUNT]:
        picture = ImageOps.invert(Image.open(io.BytesIO(archive.read(name))).convert("L"))
        letters.append(np.asarray(picture.resize((28, 28), Image.Resampling.BOX)))
write("omniglot", letters)
write("cats", np.fromfile(data / "quickdraw/cats1000.bin", np.uint8).reshape(-1, 28, 28)[:COUNT])
write("pneumonia", np.load(data / "pneumonia/pneumoniamnist.npz")["test_images"][:COUNT])

with zipfile.ZipFile(out / "cifar.zip", "w") as archive:
    for i, picture in enumerate(np.load(data / "cifar10/cifar10_lossless_4000.npz")["images"][:COUNT]):
        buffer = io.BytesIO()
        Image.fromarray(picture).resize((64, 64), Image.Resampling.BICUBIC).save(buffer, "png")
        archive.writestr(f"{i:04}.png", buffer.getvalue())
