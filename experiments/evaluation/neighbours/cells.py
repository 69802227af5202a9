"""C_T with three cells on the golden fixture, which has no clusters: over 40 seeds of scikit-learn's k-means."""
import contextlib, io
from golden import fixture
from meehan import c_t, r
f = {a: r(b) for a, b in fixture().items()}
for g in ("gen", "test", "mem"):
    with contextlib.redirect_stdout(io.StringIO()):
        all = [c_t(f["real"], f["test"], f[g], 3, s) for s in range(40)]
    v, i = [sorted(float(a[k]) for a in all) for k in (0, 2)]
    print(g, "C_T", v[0], v[20], v[-1], "inertia", i[0], i[-1])
