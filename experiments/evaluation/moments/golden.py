"""The golden fixture of the golden table and its FD, KD (full set), Vendi, IS-free: by numpy and scipy in f64."""
import numpy as np, scipy.linalg
def u(i, j):
    x = 43758.5453 * np.sin(12.9898 * i + 78.233 * j)
    return x - np.floor(x)
def normals(n, d, offset):
    """Column j by Box-Muller from columns 2j and 2j + 1 of u, the cosine alone; u(0, 0) = 0 is held at 1e-12."""
    i = np.arange(n)[:, None] + float(offset)
    j = np.arange(d)[None, :].astype(float)
    return np.sqrt(-2 * np.log(np.maximum(u(i, 2 * j), 1e-12))) * np.cos(2 * np.pi * u(i, 2 * j + 1))
def sets(n=400, d=8):
    real = normals(n, d, 0); test = normals(n, d, 5000); gen = normals(n, d, 10000) * 1.2 + .3
    mem = real.copy(); mem[:200] += 1e-3 * normals(200, d, 20000)
    return real, test, gen, mem
def fd(a, b):
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    m = a.mean(0) - b.mean(0)
    return m @ m + np.trace(s1) + np.trace(s2) - 2 * np.sqrt(np.maximum(np.real(scipy.linalg.eigvals(s1 @ s2)), 0)).sum()
def kd(x, y):
    d = x.shape[1]; k = lambda a, b: (a @ b.T / d + 1) ** 3
    m, n = len(x), len(y); kx, ky = k(x, x), k(y, y)
    return (kx.sum() - np.trace(kx)) / (m * (m - 1)) + (ky.sum() - np.trace(ky)) / (n * (n - 1)) - 2 * k(x, y).mean()
def vendi(x):
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    w = np.linalg.eigvalsh(x.T @ x / len(x)); w = w[w > 0]
    return np.exp(-(w * np.log(w)).sum())
if __name__ == "__main__":
    real, test, gen, mem = sets()
    for name, s in (("gen", gen), ("test", test), ("mem", mem)):
        print(name, f"{fd(real, s):.9f} {kd(real, s):.9f} {vendi(s):.9f}")
        r, f = real.astype(np.float32).astype(float), s.astype(np.float32).astype(float)
        print("   as f32", f"{fd(r, f):.12f} {kd(r, f):.12f} {vendi(f):.12f}")
