"""The Python side of `experiments/peers/evaluation`: CASE of the features in DIR, rows of WIDTH values. One line of JSON."""
import json
import sys
import time

import numpy as np


def prdc(real, generated):
    from prdc import compute_prdc

    return compute_prdc(real_features=real, fake_features=generated, nearest_k=5)


def fd(real, generated):
    """As pytorch-fid and dgm-eval have it: moments in f64, and scipy's square root of the product of covariances."""
    from scipy.linalg import sqrtm

    means, covariances = zip(*((x.mean(0), np.cov(x, rowvar=False)) for x in (a.astype(np.float64) for a in (real, generated))))
    root = sqrtm(covariances[0] @ covariances[1])
    root = root[0] if isinstance(root, tuple) else root
    off = means[0] - means[1]
    return {"fd": float(off @ off + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.trace(root).real)}


def main():
    folder, case, width = sys.argv[1], sys.argv[2], int(sys.argv[3])
    sets = [np.fromfile(f"{folder}/{name}.f32", "<f4").reshape(-1, width) for name in ("real", "generated")]
    work = {"prdc": prdc, "fd": fd}[case]
    work(*(s[:64, :8] for s in sets))  # what is imported on the first call is no part of the time
    started, processor = time.perf_counter(), time.process_time()
    values = work(*sets)
    took = {"seconds": time.perf_counter() - started, "processor": time.process_time() - processor}
    # The last line: the package prints what it was given before.
    print(json.dumps({**took, "values": {k: float(v) for k, v in values.items()}}), flush=True)


if __name__ == "__main__":
    main()
