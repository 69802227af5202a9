"""Two draws of one normal distribution: what the metrics give them, by number of samples and dimensions."""
import numpy as np
rng = np.random.default_rng(3)
sq = lambda a, b: np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0)
for d in (4, 16, 64):
    for n, reps in ((250, 60), (500, 40), (1000, 20), (2000, 10), (4000, 3)):
        out = []
        for _ in range(reps):
            R, G = rng.normal(size=(n, d)), rng.normal(size=(n, d))
            rr = sq(R, R); np.fill_diagonal(rr, 0); s = np.partition(rr, (1, 5), 1); a, r = s[:, 1], s[:, 5]
            rg = sq(R, G); ins = rg < r[:, None]; h = r < np.median(r)
            out.append((ins.any(0).mean(), ins.sum() / 5 / n, (rg.min(1) < r).mean(), (a[rg.argmin(0)] < rg.min(0)).mean(),
                        np.median(np.sqrt((r[h][:, None] / rg[h]).max(0)))))
        m, e = np.mean(out, 0), np.std(out, 0) / len(out) ** .5
        print(d, n, " ".join(f"{a} {x:.4f}±{y:.4f}" for a, x, y in zip(("P", "D", "C", "A", "Re"), m, e)), flush=True)
