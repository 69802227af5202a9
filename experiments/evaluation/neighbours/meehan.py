"""C_T by scipy and scikit-learn, on the golden fixture, on three blobs, and on 80 values wide rows, all in f32."""
import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from golden import fixture, normals, z

r = lambda a: a.astype(np.float32).astype(np.float64)


def c_t(train, test, gen, cells, seed=0):
    if train.shape[1] > 64:
        p = PCA(64, svd_solver="full").fit(train)
        train, test, gen = (p.transform(a) for a in (train, test, gen))
    km = KMeans(cells, n_init=10, random_state=seed).fit(train)
    t, p, q = (km.predict(a) for a in (train, test, gen))
    s = w = 0.0
    for c in range(cells):
        n, m = (p == c).sum(), (q == c).sum()
        print("   cell", c, "train", (t == c).sum(), "test", n, "gen", m, end="")
        if m > 20 and n > 0:
            v = z(test[p == c], gen[q == c], train[t == c])
            print(" z", repr(float(v)), end="")
            s, w = s + n * v, w + n
        print()
    return repr(float(s / w)), "inertia", repr(float(km.inertia_))


def blobs(n, d, offset, scale=1.0, sizes=(1, 1, 1)):
    """Rows in turn around three centres far from each other: i mod 3, or all rows around 0 and 1 where sizes say so."""
    x = scale * normals(n, d, offset)
    centre = np.zeros((3, d)); centre[1, 0] = 20; centre[2, 1] = 30
    which = np.arange(n) % 3
    if sizes[2] == 0: which = np.where(np.arange(n) % 30 == 29, 2, np.arange(n) % 2)
    return r(x + centre[which])


def wide(n, offset, scale=1.0):
    """80 columns with deviations 0.98^j."""
    return r(scale * normals(n, 80, offset) * 0.98 ** np.arange(80))


if __name__ == "__main__":
    f = {a: r(b) for a, b in fixture().items()}
    for g in ("gen", "test", "mem"):
        print("golden, 1 cell,", g, c_t(f["real"], f["test"], f[g], 1))
    print("golden, 3 cells, gen", c_t(f["real"], f["test"], f["gen"], 3))
    train, test = blobs(300, 5, 0), blobs(240, 5, 3000)
    print("blobs", c_t(train, test, blobs(270, 5, 6000, 1.1), 3))
    copies = train.copy(); copies[::3] = r(copies[::3] + 0.05 * normals(100, 5, 9000))
    print("blobs, one cell copied", c_t(train, test, np.where((np.arange(300) % 3 == 0)[:, None], copies, blobs(300, 5, 6000)), 3))
    print("blobs, few in cell 2", c_t(train, test, blobs(300, 5, 6000, 1.1, (1, 1, 0)), 3))
    w = wide(300, 0), wide(200, 3000), wide(250, 6000, 1.05)
    print("wide, 1 cell", c_t(*w, 1))
    x = w[0] - w[0].mean(0)
    v = np.linalg.eigvalsh(x.T @ x)[::-1]
    print("wide: variance in 64 axes", repr(float(v[:64].sum())), "in 10", repr(float(v[:10].sum())), "all", repr(float(v.sum())))
