"""Files as h5py writes them, for the test of the HDF5 reader: the first seven golden showers, 256 MeV · 2^i.

    python make_h5.py ../tests/golden/calorimeter
"""
import sys, numpy as np, h5py
from golden import showers
out = sys.argv[1]
n, v = 7, 368
x, e = showers(0, n), 256. * 2.0 ** np.arange(n)[:, None]
def w(name, t, libver=None, flat=False, **k):
    with h5py.File(f"{out}/{name}.hdf5", "w", libver=libver) as f:
        f.create_dataset("incident_energies", data=(e.ravel() if flat else e).astype(t))
        f.create_dataset("showers", data=x.astype(t), **k)
w("contiguous-f64", "f8")
w("contiguous-f32", "f4", flat=True)
w("gzip-f32", "f4", chunks=(3, 100), compression="gzip")
w("gzip-shuffle-f64", "f8", chunks=(2, 64), compression="gzip", shuffle=True)
w("resizable-f32", "f4", maxshape=(None, v), chunks=(4, v))
w("checksum-f32", "f4", chunks=(7, v), fletcher32=True, compression="gzip")
w("big-endian-f32", ">f4", chunks=(7, v), compression="gzip")
w("half", "f2", chunks=(7, v), compression="gzip")
w("latest-f32", "f4", libver="latest", chunks=(3, 64), compression="gzip")
