"""Points of a circle in ten values, as pictures of one row: points.py SEED TRAIN TEST EXACT

Angles are von Mises with κ = 1. TRAIN holds 1,000 points, 64 times over, so that a pass is long; TEST holds 4,000 others. EXACT has those
of TRAIN before they were rounded to 8 bits, and rounded.npy those after it. Every seed has a plane of its own.
"""
import struct
import sys

import numpy as np

rng = np.random.default_rng(int(sys.argv[1]))
plane = np.linalg.qr(rng.standard_normal((10, 2)))[0]


def write(path, count, times, exact=None):
    angles = rng.vonmises(0.0, 1.0, count)
    values = 0.5 + 0.45 * np.stack([np.cos(angles), np.sin(angles)], 1) @ plane.T
    if exact:
        np.save(exact, values.astype(np.float32))
        np.save("rounded.npy", (np.round(255 * values) / 255).astype(np.float32))
    data = np.tile(np.round(255 * values).astype(np.uint8), (times, 1))
    with open(path, "wb") as file:
        file.write(struct.pack(">4I", 2051, len(data), 1, 10) + data.tobytes())


write(sys.argv[2], 1000, 64, sys.argv[4])
write(sys.argv[3], 4000, 1)
