"""jetnet's own gen_metrics.py (pip install --no-deps jetnet), with stand-ins for torch, energyflow and numba, so that its
FPD and KPD run on numpy alone. Nothing of its arithmetic is replaced."""
import importlib.util, sys, types, site, pathlib
def _mod(name, **kw):
    m = types.ModuleType(name); m.__dict__.update(kw); sys.modules[name] = m; return m
class _T: pass
_mod("torch", Tensor=_T); _mod("torch.utils"); _mod("torch.utils.data", DataLoader=_T)
_mod("energyflow"); _mod("energyflow.emd", emds=None)
def _njit(*a, **k): return a[0] if a and callable(a[0]) else (lambda f: f)
_mod("numba", njit=_njit, prange=range, set_num_threads=lambda n: None)
_mod("jetnet", utils=None); _mod("jetnet.utils"); _mod("jetnet.datasets", JetNet=_T)
for d in site.getsitepackages():
    p = pathlib.Path(d) / "jetnet/evaluation/gen_metrics.py"
    if p.exists(): break
spec = importlib.util.spec_from_file_location("gen_metrics", p)
gen_metrics = importlib.util.module_from_spec(spec); sys.modules["gen_metrics"] = gen_metrics
import scipy.linalg as _l
if True:
    import inspect
    if "disp" not in inspect.signature(_l.sqrtm).parameters:
        _o = _l.sqrtm
        _l.sqrtm = lambda A, disp=True: (_o(A), 0.) if not disp else _o(A)
spec.loader.exec_module(gen_metrics)
