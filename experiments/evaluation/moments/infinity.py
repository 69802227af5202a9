"""fd_infinity of the golden sets, whole: the subsets that isoline draws (ChaCha8 and rand's ranges written out here), Fréchet
distances by singular values of the centred rows' product, and scipy's line through them. Seed 0; 15 sizes of 40 to 400."""
import numpy as np
import scipy.stats
from constants import f32, fd_svd
from golden import sets

def words(seed, sample, stream, step, n):
    """The first n u32 at an address of isoline's noise (scheme 1, docs/noise.md)."""
    key = b"isol" + (1).to_bytes(4, "little") + seed.to_bytes(8, "little") + stream.to_bytes(4, "little") + step.to_bytes(4, "little") + bytes(8)
    blocks = (n + 15) // 16
    s = np.empty((16, blocks), np.uint32)
    s[:4] = np.frombuffer(b"expand 32-byte k", "<u4")[:, None]
    s[4:12] = np.frombuffer(key, "<u4")[:, None]
    s[12], s[13] = np.arange(blocks), 0
    s[14], s[15] = sample & 0xFFFFFFFF, sample >> 32
    x = s.copy()
    turn = lambda v, k: (v << np.uint32(k)) | (v >> np.uint32(32 - k))
    for _ in range(4):
        for q in ((0,4,8,12),(1,5,9,13),(2,6,10,14),(3,7,11,15),(0,5,10,15),(1,6,11,12),(2,7,8,13),(3,4,9,14)):
            a, b, c, d = q
            for i, j, k, r in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                x[i] += x[j]
                x[k] = turn(x[k] ^ x[i], r)
    return [int(v) for v in (x + s).T.reshape(-1)]

def subset(seed, draw, number, n, size):
    """`size` of 0 to n - 1: the first steps of a shuffle, each by a range of 32 bits (Canon's method)."""
    stream = iter(words(seed, number, 8, draw, 2 * size + 16))
    every = list(range(n))
    if size < n:
        for i in range(size):
            width = n - i
            high, low = divmod(next(stream) * width, 1 << 32)
            if low > (1 << 32) - width and low + (next(stream) * width >> 32) >= 1 << 32:
                high += 1
            every[i], every[i + high] = every[i + high], every[i]
    return sorted(every[:size])

def fd_infinity(real, generated, seed=0):
    sizes = [40 + 360 * i // 14 for i in range(15)]
    pairs = ((subset(seed, 110, i, len(real), n), subset(seed, 111, i, len(generated), n)) for i, n in enumerate(sizes))
    found = [fd_svd(real[a], generated[b]) for a, b in pairs]
    return scipy.stats.linregress(1 / np.array(sizes), found).intercept

real, test, generated, memorised = (f32(x) for x in sets())
print("-- fd_infinity", [repr(float(fd_infinity(real, x))) for x in (generated, test)])
