"""Sliced Wasserstein distance of order 2 between the pictures of a run and as many test pictures: the root of the mean, over 512 random
directions, of the squared distance between sorted projections. Values are from 0 to 1.

    sliced.py RUN t10k-images-idx3-ubyte.gz

Prints the distance, and that of the test pictures that follow, which is what two sets of this size cannot be below.
"""
import glob
import gzip
import struct
import sys

import numpy as np
from PIL import Image

made = np.stack([np.asarray(Image.open(f).convert("L"), float).ravel() / 255 for f in sorted(glob.glob(f"{sys.argv[1]}/images/*.png"))])
with gzip.open(sys.argv[2]) as file:
    _, count, height, width = struct.unpack(">4I", file.read(16))
    test = np.frombuffer(file.read(), np.uint8).reshape(count, height * width) / 255
n = len(made)
directions = np.random.default_rng(0).standard_normal((height * width, 512))
directions /= np.linalg.norm(directions, axis=0)


def distance(a, b):
    return np.sqrt(np.mean((np.sort(a @ directions, axis=0) - np.sort(b @ directions, axis=0)) ** 2))


print(f"{distance(made, test[:n]):.5f} {distance(test[n:2 * n], test[:n]):.5f}")
