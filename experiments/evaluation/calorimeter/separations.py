"""Separation powers of the golden fixture in numpy (np.histogram), for src/evaluate/calorimeter/oracle.rs."""
import numpy as np
from golden import *
f4 = lambda x: x.astype("f4").astype("f8")
a, b, c = f4(showers(0, 2000)), f4(showers(50000, 2000)), f4(1.05 * showers(50000, 2000))
fa, fb, fc = features(a), features(b), features(c)
out = {}
def put(name, get, bins): out[name] = [separation(get(fa), get(f), bins) for f in (fb, fc)]
put("E_tot/E_inc", lambda f: f["E_tot"] / 20000., np.linspace(.5, 1.5, 101))
def logbins(m, n):
    return np.logspace(0, np.log10(m), n)
for l in EDGES: put(f"E_{l}", lambda f: f[l]["E"], logbins(fa[l]["E"].max(), 40))
for l in (1, 2):
    for k in ("eta", "phi"):
        put(f"EC_{k}_{l}", lambda f: f[l]["EC" + k], np.linspace(-100, 100, 101))
        put(f"width_{k}_{l}", lambda f: f[l]["w" + k], np.linspace(0, 100, 101))
for l in EDGES:
    put(f"EC_r_{l}", lambda f: f[l]["ECr"], np.linspace(0, EDGES[l][-1], 101))
    put(f"width_r_{l}", lambda f: f[l]["wr"], np.linspace(0, EDGES[l][-1] / 2, 101))
    put(f"sparsity_{l}", lambda f: f[l]["sparsity"], np.linspace(0, 1, 21))
for n, v in out.items(): print(f'    ("{n}", [{float(v[0])!r}, {float(v[1])!r}]),')
bins = logbins(a.max(), 50)
print("VOXELS", [float(separation(a.ravel(), x.ravel(), bins)) for x in (b, c)])
