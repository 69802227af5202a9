"""Squared sliced W2 by 500 random projections less that in closed form, of 400 and 400 normals in 8 dimensions, over 100
repeats: mean and deviation."""
import numpy as np
from golden import sw
rng = np.random.default_rng(0)
for scale, shift in ((1.2, 0.3), (1.0, 0.0)):
    out = []
    for _ in range(100):
        x, y = rng.normal(size=(400, 8)), scale * rng.normal(size=(400, 8)) + shift
        u = rng.normal(size=(8, 500)); u /= np.linalg.norm(u, axis=0)
        out.append(((np.sort(x @ u, 0) - np.sort(y @ u, 0)) ** 2).mean() - sw(x, y) ** 2)
    print(scale, shift, np.mean(out), np.std(out, ddof=1))
