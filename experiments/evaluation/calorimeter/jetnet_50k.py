"""jetnet's FPD (10,000 to 50,000) and KPD (batches of 5,000) on two files of 50,000 simulated showers that isoline wrote:
the whole chain (h5py, features, table, metrics) beside isoline's, with jetnet's own random draws."""
import warnings; warnings.filterwarnings("ignore")
import sys, h5py, numpy as np
from jetnet_stub import gen_metrics as g
from golden import features, classifier
def table(p):
    with h5py.File(p) as f: return classifier(f["incident_energies"][:].ravel(), features(f["showers"][:].astype("f8")))
a, b = map(table, sys.argv[1:3])
print("fpd", g.fpd(a, b, min_samples=10000)); print("kpd 5000", g.kpd(a, b, batch_size=5000))
