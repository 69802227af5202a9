"""Constants that stand in the Rust tests, by numpy, scipy, scikit-learn and vendi_score in f64, from features as f32."""
import numpy as np, scipy.linalg, scipy.stats
from golden import normals, sets, fd, kd, vendi
from vendi_score import vendi as package
from sklearn.metrics.pairwise import polynomial_kernel

f32 = lambda x: x.astype(np.float32).astype(np.float64)
print("t quantiles", [float(scipy.stats.t.ppf(.975, k)) for k in range(1, 10)], "normal", scipy.stats.norm.ppf(.975))

def fd_sqrtm(a, b):
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    m = a.mean(0) - b.mean(0)
    return m @ m + np.trace(s1) + np.trace(s2) - 2 * np.trace(scipy.linalg.sqrtm(s1 @ s2)).real

def fd_svd(a, b):
    """tr (S1 S2)^½ as the sum of singular values of the product of the centred rows: no eigenvalue is squared."""
    ca, cb = (a - a.mean(0)) / np.sqrt(len(a) - 1), (b - b.mean(0)) / np.sqrt(len(b) - 1)
    m = a.mean(0) - b.mean(0)
    return m @ m + (ca ** 2).sum() + (cb ** 2).sum() - 2 * np.linalg.svd(ca @ cb.T, compute_uv=False).sum()

real, test, gen, mem = (f32(x) for x in sets())
print("fd golden: sqrtm", fd_sqrtm(real, gen), "eig", fd(real, gen), "svd", fd_svd(real, gen))
def kd_package(x, y):
    k = lambda a, b: polynomial_kernel(a, b, degree=3, gamma=None, coef0=1)
    m, n, kx, ky = len(x), len(y), k(x, x), k(y, y)
    return (kx.sum() - np.trace(kx)) / (m * (m - 1)) + (ky.sum() - np.trace(ky)) / (n * (n - 1)) - 2 * k(x, y).mean()
print("kd golden: sklearn kernel", kd_package(real, gen), kd_package(real, test), kd_package(real, mem))

print("-- singular")
a, b, c = f32(normals(30, 40, 0)), f32(normals(25, 40, 10000) * 1.2 + .3), f32(normals(60, 40, 5000))
print("30 and 25 rows of 40", repr(fd_svd(a, b)), fd(a, b))
print("30 and 60 rows of 40", repr(fd_svd(a, c)), fd(a, c))
a[:, 7] = 5; b[:, 7] = 5; c[:, 7] = 5; a[:, 3] = 2
print("constant features", repr(fd_svd(a, b)), repr(fd_svd(a, c)))
far = f32(normals(200, 8, 0) * 1e-2 + 1e3); far2 = f32(normals(200, 8, 5000) * 1e-2 + 1e3)
print("far from 0", repr(fd_svd(far, far2)))
print("2 rows of 8", repr(fd_svd(real[:2], gen[:2])), "3 rows of 8", repr(fd_svd(real[:3], gen[:3])))

print("-- kd of unequal sizes", repr(kd(real[:100], gen[:37])))

print("-- vendi")
print("golden by the package", package.score_dual(gen / np.linalg.norm(gen, axis=1, keepdims=True), normalize=False),
      package.score_dual(test, normalize=True))
wide = f32(normals(30, 40, 0))
k = wide / np.linalg.norm(wide, axis=1, keepdims=True)
print("30 rows of 40", repr(package.score_K(k @ k.T)), vendi(wide))
print("per class i % 3", repr(np.mean([vendi(gen[np.arange(400) % 3 == c]) for c in range(3)])))

print("-- inception score, 10 splits in order")
z = normals(205, 10, 0) * 2
p = f32(np.exp(z) / np.exp(z).sum(1, keepdims=True))
parts = [p[205 * k // 10: 205 * (k + 1) // 10] for k in range(10)]
scores = [np.exp(np.mean([scipy.stats.entropy(r, q.mean(0)) for r in q])) for q in
          [x / x.sum(1, keepdims=True) for x in parts]]
print(repr(np.mean(scores)), repr(np.std(scores, ddof=1)))

print("-- line")
n = np.array([40 + 360 * i // 14 for i in range(15)])
y = np.array([0.1 + 30 / v + 0.01 * np.sin(v) for v in n])
l = scipy.stats.linregress(1 / n, y)
print(repr(l.intercept), repr(l.intercept_stderr), n)
