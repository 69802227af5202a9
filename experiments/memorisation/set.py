"""The first 200 digits of MNIST, the first 20 of them 50 times, as one IDX file, in an order drawn once.

    set.py train-images-idx3-ubyte.gz digits.idx
"""
import gzip
import random
import struct
import sys

COUNT, OFTEN, TIMES = 200, 20, 50

with gzip.open(sys.argv[1]) as file:
    _, _, height, width = struct.unpack(">4I", file.read(16))
    digits = [file.read(height * width) for _ in range(COUNT)]
chosen = digits[:OFTEN] * TIMES + digits[OFTEN:]
random.Random(0).shuffle(chosen)
with open(sys.argv[2], "wb") as file:
    file.write(struct.pack(">4I", 2051, len(chosen), height, width) + b"".join(chosen))
