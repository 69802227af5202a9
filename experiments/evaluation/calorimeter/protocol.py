"""FPD and KPD by jetnet's functions on numpy, with the showers that isoline draws: ChaCha8 written out here.

Prints constants for src/evaluate/calorimeter/oracle.rs."""
import warnings; warnings.filterwarnings("ignore")
import numpy as np
from scipy.optimize import nnls, curve_fit
from scipy.stats import iqr
from jetnet_stub import gen_metrics as g
from golden import showers, features, classifier, u

def chacha8(seed, sample, stream, step, n):
    """The first n u64 at an address of isoline's noise (scheme 1, docs/noise.md)."""
    key = b"isol" + (1).to_bytes(4, "little") + seed.to_bytes(8, "little") + stream.to_bytes(4, "little") + step.to_bytes(4, "little") + bytes(8)
    blocks = (n * 2 + 15) // 16
    ctr = np.arange(blocks, dtype=np.uint64)
    s = np.empty((16, blocks), np.uint32)
    s[:4] = np.frombuffer(b"expand 32-byte k", "<u4")[:, None]
    s[4:12] = np.frombuffer(key, "<u4")[:, None]
    s[12], s[13] = (ctr & 0xffffffff).astype("u4"), (ctr >> np.uint64(32)).astype("u4")
    s[14], s[15] = sample & 0xffffffff, sample >> 32
    x = s.copy()
    rot = lambda v, k: (v << np.uint32(k)) | (v >> np.uint32(32 - k))
    def q(a, b, c, d):
        for (i, j, k, r) in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[i] += x[j]; x[k] = rot(x[k] ^ x[i], r)
    for _ in range(4):
        for t in ((0,4,8,12),(1,5,9,13),(2,6,10,14),(3,7,11,15),(0,5,10,15),(1,6,11,12),(2,7,8,13),(3,4,9,14)): q(*t)
    w = (x + s).T.reshape(-1).astype(np.uint64)
    return (w[0::2] | (w[1::2] << np.uint64(32)))[:n]

def drawn(seed, sample, step, n, count):
    return np.array([(int(v) * n) >> 64 for v in chacha8(seed, sample, 8, step, count)])

def fpd(a, b, lo, hi, points, resamples, seed):
    X, Y = g._normalise_features(a, b)
    sizes = (1 / np.linspace(1 / lo, 1 / hi, points)).astype("int32")
    vals = []
    for i, n in enumerate(sizes):
        w = []
        for r in range(resamples):
            t = i * resamples + r
            A, B = X[drawn(seed, 2*t, 1, len(X), n)], Y[drawn(seed, 2*t+1, 1, len(Y), n)]
            w.append(g._calculate_frechet_distance(A.mean(0), np.cov(A, rowvar=False), B.mean(0), np.cov(B, rowvar=False)))
        vals.append(np.mean(w))
    vals, x = np.array(vals), 1 / sizes
    J = np.stack([np.ones(points), x], 1)
    s, _ = nnls(J, vals)
    err = np.sqrt((np.linalg.inv(J.T @ J) * ((vals - J @ s) ** 2).sum() / (points - 2))[0, 0])
    p, c = curve_fit(g._linear, x, vals, bounds=([0, 0], [np.inf, np.inf]))
    print("// jetnet's own fit of the same points:", float(p[0]), float(np.sqrt(c[0, 0])))
    return (float(s[0]), float(err), float(s[1]), float(vals[4])), [int(v) for v in sizes]

def kpd(a, b, batches, size, seed):
    X, Y = g._normalise_features(a, b)
    v, fl = [], []
    k = lambda P, Q: (P @ Q.T / P.shape[1] + 1) ** 4
    for i in range(batches):
        A, B = X[drawn(seed, 2*i, 2, len(X), size)], Y[drawn(seed, 2*i+1, 2, len(Y), size)]
        v.append(g._mmd_poly_quadratic_unbiased(A, B, 4))
        f = 0
        for P, n in ((A, len(X)), (B, len(Y))):
            K = k(P, P); d = np.trace(K)
            f += (d / size - (K.sum() - d) / (size * (size - 1))) / n
        fl.append(f)
    return float(np.median(v)), float(iqr(v, rng=(16.275, 83.725)) / 2), float(np.mean(fl))

def rows(start, n, shift):
    i = np.arange(start, start + n, dtype=float)
    v = [u(i, float(j)) for j in range(5)]
    return np.stack([v[0] + shift, v[1] ** 2, v[0] * v[2] - .3, 5 * v[3], v[4], v[0] + v[1]], 1)

def golden(start, factor):
    x = (factor * showers(start, 2000)).astype("f4").astype("f8")
    return classifier(np.full(2000, 65536.), features(x))

print("/// references/protocol.py: the polynomial discrepancy of the golden fixture, times 1,000.")
A = golden(0, 1.)
print("pub const MMD: [f64; 2] =", [float(1e3 * g._mmd_poly_quadratic_unbiased(*g._normalise_features(A, golden(50000, f)), 4)) for f in (1., 1.05)], ";")
B = golden(50000, 1.05)
s, sizes = fpd(A, B, 400, 2000, 10, 20, 3)
print("/// references/protocol.py: FPD of the golden fixture with the sizes of the next line: a, its error, b, fifth mean.")
print("pub const FPD_SCALED: (f64, f64, f64, f64) =", s, ";\n/// See [`FPD_SCALED`].\n#[rustfmt::skip]\npub const FPD_SIZES: [usize; 10] =", sizes, ";")
s, sizes = fpd(rows(0, 1500, 0.), rows(9000, 1700, .1), 300, 1500, 5, 4, 4)
print("/// references/protocol.py: the same of six features, one of them a sum of others.\npub const FPD_SMALL: (f64, f64, f64, f64) =", s, ";")
print("/// references/protocol.py: KPD of the golden fixture, three batches: median, error, floor.\npub const KPD_SCALED: (f64, f64, f64) =", kpd(A, B, 3, 2000, 3), ";")
print("/// references/protocol.py: KPD of six features, ten batches.\npub const KPD_SMALL: (f64, f64, f64) =", kpd(rows(0, 1500, 0.), rows(9000, 1700, .1), 10, 333, 4), ";")
x = 1 / np.array([100., 200, 400, 800])
print("/// references/protocol.py: scipy.optimize.nnls on four points.\npub const NNLS: [f64; 2] =", [float(v) for v in nnls(np.stack([np.ones(4), x], 1), np.array([.5, .1, .1, .3]))[0]], ";")
