"""Realism, AuthPct and C_T (64 axes, one cell) of the shared LeNet features. Argument: the folder shared/data/reference."""
import sys
import numpy as np
from safetensors.numpy import load_file
from golden import auth, realism
from meehan import c_t
f = {k: v.astype(np.float64) for k, v in load_file(sys.argv[1] + "/lenet84_features.safetensors").items() if v.ndim == 2}
for g in ("real_b", "vae", "gan_mlp"):
    s = realism(f["real_a"], f[g])
    print(g, "realism median", repr(float(np.median(s))), "largest", repr(float(s.max())), "auth", auth(f["real_a"], f[g]))
for g in ("vae", "gan_mlp"):
    print(g, "C_T", c_t(f["real_a"], f["real_b"], f[g], 1))
