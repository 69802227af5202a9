"""sklearn's isotonic regression, AUC and cross-entropy for the tests of calibration.rs."""
import numpy as np
from golden import u
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score, log_loss
def scores(n, offset):
    i = np.arange(n, dtype=float) + offset
    y = u(i, 0.) < .5
    raw = np.where(y, np.sqrt(u(i, 1.)), u(i, 1.))
    return np.floor(raw * 200) / 200, y
(a, ya), (b, yb) = scores(1500, 0), scores(1000, 10000)
iso = IsotonicRegression(out_of_bounds="clip", y_min=1e-6, y_max=1 - 1e-6).fit(a, ya.astype(float))
c = iso.predict(b)
asked = np.array([-1.0, 0.0, 0.0023, 0.2501, 0.5, 0.7777, 0.995, 2.0])
print("/// references/calibration.py: the calibrated probability at eight scores; AUC of raw and calibrated scores; JSD.")
print("#[rustfmt::skip]\npub const ISOTONIC: [f64; 8] =", [float(v) for v in iso.predict(asked)], ";")
print("/// See [`ISOTONIC`].\npub const AUC: f64 =", repr(float(roc_auc_score(yb, b))), ";")
print("/// See [`ISOTONIC`].\npub const AUC_CALIBRATED: f64 =", repr(float(roc_auc_score(yb, c))), ";")
print("/// See [`ISOTONIC`].\npub const JSD: f64 =", repr(float((np.log(2) - log_loss(yb, c)) / np.log(2))), ";")
