"""The golden fixture of the golden table, and the values of this folder's metrics on it, by numpy, scipy, scikit-learn
and prdc: in f64 as the table was made, and on rows rounded to f32 as isoline holds them. Prints both."""
import contextlib, io, sys
import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu
from prdc import compute_prdc


def u(i, j):
    x = 43758.5453 * np.sin(12.9898 * i + 78.233 * j)
    return x - np.floor(x)


def normals(n, d, offset):
    """Column j by Box and Muller from the hash's columns 2j and 2j + 1: the cosine only, the logarithm's argument at
    least 1e-12 (u(0, 0) is 0). This is the one reading that gives the golden table."""
    i = (np.arange(n) + offset)[:, None].astype(float)
    j = np.arange(d)[None, :].astype(float)
    return np.sqrt(-2 * np.log(np.maximum(u(i, 2 * j), 1e-12))) * np.cos(2 * np.pi * u(i, 2 * j + 1))


def fixture(n=400, d=8):
    real = normals(n, d, 0)
    mem = real.copy()
    mem[:200] += 1e-3 * normals(200, d, 20000)
    return dict(real=real, test=normals(n, d, 5000), gen=normals(n, d, 10000) * 1.2 + 0.3, mem=mem)


def sw(x, y):
    d = x.shape[1]
    m = lambda a: ((a - a.mean(0)) ** 2).sum(1).mean() / d
    return np.sqrt(((x.mean(0) - y.mean(0)) ** 2).sum() / d + (np.sqrt(m(x)) - np.sqrt(m(y))) ** 2)


def auth(real, gen):
    rr = cdist(real, real); np.fill_diagonal(rr, np.inf)
    rg = cdist(real, gen)
    return 100 * (rr.min(0)[rg.argmin(0)] < rg.min(0)).mean()


def z(test, gen, train):
    lq, lp = cdist(gen, train).min(1), cdist(test, train).min(1)
    m, n = len(lq), len(lp)
    s = mannwhitneyu(lq, lp, alternative="less").statistic
    return (s - (n * m / 2 - 0.5)) / np.sqrt(n * m * (n + m + 1) / 12)


def realism(real, gen, k=5):
    rr = cdist(real, real); r = np.sort(rr, 1)[:, k]
    h = r < np.median(r)
    with np.errstate(divide="ignore"):
        return (r[h][:, None] / cdist(real[h], gen)).max(0)


if __name__ == "__main__":
    for name, cast in (("f64", np.float64), ("f32", np.float32)):
        f = {a: b.astype(cast).astype(np.float64) for a, b in fixture().items()}
        for g in ("gen", "test", "mem"):
            with contextlib.redirect_stdout(io.StringIO()):
                p = compute_prdc(f["real"], f[g], 5)
            p = {a: float(b) for a, b in p.items()}
            s = realism(f["real"], f[g])
            print(name, g, p, "auth", auth(f["real"], f[g]), "sw", repr(float(sw(f["real"], f[g]))),
                  "ct", repr(float(z(f["test"], f[g], f["real"]))), "realism median", repr(float(np.median(s))),
                  "first", [float(v) for v in s[:3]], "last", float(s[-1]), "infinite", int(np.isinf(s).sum()))
