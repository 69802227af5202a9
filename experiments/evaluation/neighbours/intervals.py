"""Reference values of src/evaluate/intervals.rs by scipy."""
import numpy as np
from scipy.stats import t, norm, binomtest, binom
p = np.array([.91, .87, .95, .9, .88])
print("T5", t.interval(.95, 4, p.mean(), p.std(ddof=1) / 5**.5)); q = p[:2]
print("T2", t.interval(.95, 1, q.mean(), q.std(ddof=1) / 2**.5))
print("W316", binomtest(316, 400).proportion_ci(method="wilson")); print("W400", binomtest(400, 400).proportion_ci(method="wilson"))
x = np.array([1, 4, 2, 8, 5, 7.]); print("MEAN", norm.interval(.95, x.mean(), x.std(ddof=1) / 6**.5))
for lo, hi in ((40, 61), (41, 60)): print("median of 100, ranks", lo, hi, binom.cdf(hi - 1, 100, .5) - binom.cdf(lo - 1, 100, .5))
