"""The golden fixture of the high-level features of showers, recomputed in numpy.

u(i,j) = frac(43758.5453 sin(12.9898 i + 78.233 j)), x = (u > .6)(u - .6) 2500 exp(-j/120) MeV, photon geometry of
data set 1. Written from its formulas.
"""
import numpy as np

EDGES = {0: [0,5,10,30,50,100,200,400,600], 1: [0,2,4,6,8,10,12,15,20,30,40,50,70,90,120,150,200],
         2: [0,2,5,10,15,20,25,30,40,50,60,80,100,130,160,200,250,300,350,400], 3: [0,50,100,200,400,600],
         12: [0,100,200,400,1000,2000]}
ALPHA = {0: 1, 1: 10, 2: 10, 3: 1, 12: 1}

def u(i, j):
    t = 43758.5453 * np.sin(12.9898 * i + 78.233 * j)
    return t - np.floor(t)

def showers(start, n, v=368):
    i = np.arange(start, start + n, dtype=float)[:, None]
    j = np.arange(v, dtype=float)[None, :]
    w = u(i, j)
    return np.where(w > .6, w - .6, 0.) * 2500. * np.exp(-j / 120.)

def features(x, edges=EDGES, alpha=ALPHA):
    out, at = {"E_tot": x.sum(1)}, 0
    for l, e in edges.items():
        e = np.array(e, float)
        mid = (e[:-1] + e[1:]) / 2
        n = len(mid) * alpha[l]
        d = x[:, at:at + n]
        at += n
        E = d.sum(1)
        out[l] = {"E": E, "sparsity": 1 - (d > 0).mean(1)}
        r = np.tile(mid, alpha[l])
        ae = np.linspace(-np.pi, np.pi, alpha[l] + 1)
        a = np.repeat((ae[:-1] + ae[1:]) / 2, len(mid))
        def cw(c):
            m = (c * d).sum(1) / (E + 1e-16)
            s = (c * c * d).sum(1) / (E + 1e-16)
            return m, np.sqrt(np.clip(s - m * m, 0, None))
        out[l]["ECr"], out[l]["wr"] = cw(r)
        if alpha[l] > 1:
            out[l]["ECeta"], out[l]["weta"] = cw(r * np.cos(a))
            out[l]["ECphi"], out[l]["wphi"] = cw(r * np.sin(a))
    assert at == x.shape[1]
    return out

def classifier(einc, f, alpha=ALPHA):
    ls = list(alpha)
    la = [l for l in ls if alpha[l] > 1]
    cols = [np.log10(einc)] + [np.log10(f[l]["E"] + 1e-8) for l in ls]
    for k in ("ECeta", "ECphi", "weta", "wphi"):
        cols += [f[l][k] / 100 for l in la]
    cols += [np.log10(f["E_tot"] + 1e-8)] + [f[l]["sparsity"] for l in ls]
    cols += [f[l]["ECr"] / 100 for l in ls] + [f[l]["wr"] / 100 for l in ls]
    return np.stack(cols, 1)

def separation(a, b, bins):
    p, _ = np.histogram(a, bins)
    q, _ = np.histogram(b, bins)
    p, q = p / p.sum(), q / q.sum()
    return .5 * ((p - q) ** 2 / (p + q + 1e-16)).sum()

if __name__ == "__main__":
    from jetnet_stub import gen_metrics as g
    np.set_printoptions(precision=12)
    a, b = showers(0, 2000), showers(50000, 2000)
    fa, fb, fc = features(a), features(b), features(b * 1.05)
    print("Etot", repr(fa["E_tot"][0]))
    for l in EDGES:
        print(l, {k: float(v[0]) for k, v in fa[l].items()})
    e = np.full(2000, 65536.)
    X, Y, Z = (classifier(e, f) for f in (fa, fb, fc))
    print("width", X.shape)
    for emin in (10., 1.):
        bins = np.logspace(np.log10(emin), np.log10(fa[2]["E"].max()), 40)
        print("sep E_layer2, min", emin, separation(fa[2]["E"], fb[2]["E"], bins), separation(fa[2]["E"], fc[2]["E"], bins))
    for name, other in (("same", Y), ("x1.05", Z)):
        P, Q = g._normalise_features(X, other)
        d = g._calculate_frechet_distance(P.mean(0), np.cov(P, rowvar=False), Q.mean(0), np.cov(Q, rowvar=False))
        k = g._mmd_poly_quadratic_unbiased(P, Q, 4)
        print(name, "frechet e3", repr(1e3 * d), "mmd e3", repr(1e3 * k))
