"""The shared reference values again, by singular values of the centred rows' product, in f64 and in 40 digits for one pair."""
import json, sys, numpy as np
from safetensors.numpy import load_file
from constants import fd_svd, fd_sqrtm, kd_package
folder = sys.argv[1]  # the folder "reference" of docs/data.md
t = {k: v.astype(np.float64) for k, v in load_file(folder + "/lenet84_features.safetensors").items() if v.ndim == 2}
m = json.load(open(folder + "/metrics.json"))
for k in ("real_b", "vae", "gan_mlp"):
    a, b = t["real_a"], t[k]
    e = np.linalg.eigvalsh(np.cov(a, rowvar=False))
    print(k, "svd", repr(fd_svd(a, b)), "sqrtm", repr(fd_sqrtm(a, b)), "json", m[k]["frechet_scipy"], "kd", repr(kd_package(a, b)), m[k]["kid_poly_mmd2_unbiased"])
    print("   constant features", (np.ptp(a, axis=0) == 0).sum(), (np.ptp(b, axis=0) == 0).sum(), "eigenvalues", e[:6], e[-1])
