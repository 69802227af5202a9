"""Sliced Wasserstein distance of order 2 between samples and the held-out points, relative to the circle's radius: the root of the mean,
over 512 random directions, of the squared distance between sorted projections. And how far samples are off the circle.

    sliced.py SEED test.idx RUN|FILE.npy
"""
import glob
import struct
import sys

import numpy as np
from PIL import Image

RADIUS = 0.45
with open(sys.argv[2], "rb") as file:
    _, count, _, d = struct.unpack(">4I", file.read(16))
    test = np.frombuffer(file.read(), np.uint8).reshape(count, d) / 255
if sys.argv[3].endswith(".npy"):
    made = np.load(sys.argv[3])
else:
    files = sorted(glob.glob(f"{sys.argv[3]}/images/*.png"))
    made = np.stack([np.asarray(Image.open(f).convert("L"), float).ravel() / 255 for f in files])
# As many of each: fewer are taken several times.
made = np.repeat(made, len(test) // len(made), axis=0)
directions = np.random.default_rng(0).standard_normal((d, 512))
directions /= np.linalg.norm(directions, axis=0)
moved = np.sort(made @ directions, axis=0) - np.sort(test @ directions, axis=0)
plane = np.linalg.qr(np.random.default_rng(int(sys.argv[1])).standard_normal((10, 2)))[0]
inside = (made - 0.5) @ plane
off = np.hypot(np.linalg.norm(inside, axis=1) - RADIUS, np.linalg.norm(made - 0.5 - inside @ plane.T, axis=1))
print(f"{np.sqrt(np.mean(moved**2)) / RADIUS:.4f} {np.quantile(off, 0.5) / RADIUS:.4f} {np.quantile(off, 0.95) / RADIUS:.4f}")
