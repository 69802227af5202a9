"""The first 200 digits of MNIST, the first 20 of them 50 times, as one IDX file with one of labels, in an order drawn once.

    set.py train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz digits.idx labels.idx
"""
import gzip
import random
import struct
import sys

COUNT, OFTEN, TIMES = 200, 20, 50

with gzip.open(sys.argv[1]) as file:
    _, _, height, width = struct.unpack(">4I", file.read(16))
    digits = [file.read(height * width) for _ in range(COUNT)]
with gzip.open(sys.argv[2]) as file:
    labels = file.read()[8 : 8 + COUNT]
chosen = list(range(OFTEN)) * TIMES + list(range(OFTEN, COUNT))
random.Random(0).shuffle(chosen)
with open(sys.argv[3], "wb") as file:
    file.write(struct.pack(">4I", 2051, len(chosen), height, width) + b"".join(digits[i] for i in chosen))
with open(sys.argv[4], "wb") as file:
    file.write(struct.pack(">2I", 2049, len(chosen)) + bytes(labels[i] for i in chosen))
