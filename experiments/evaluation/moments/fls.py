"""FLS and FLS-POG by numpy in f64 (features scaled, then rounded to f32 as the library does), and a check of the gradient."""
import numpy as np
from scipy.special import logsumexp
from golden import sets

f32 = lambda x: x.astype(np.float32).astype(np.float64)

def distances(x, y):
    return ((x[:, None, :] - y[None]) ** 2).sum(-1)
def loss(d2, s, width):
    t = -.5 * d2 * np.exp(-s) - width / 2 * s - np.log(d2.shape[1])
    return -logsumexp(t, axis=1)
def gradient(d2, s, width):
    t = -.5 * d2 * np.exp(-s) - width / 2 * s
    w = np.exp(t - logsumexp(t, axis=1, keepdims=True))
    return -(w * (.5 * d2 * np.exp(-s) - width / 2)).mean(0)
def fit(d2, width):
    s = np.zeros(d2.shape[1]); m = np.zeros_like(s); v = np.zeros_like(s)
    for step in range(1, 101):
        g = gradient(d2, s, width)
        m = .9 * m + .1 * g; v = .999 * v + .001 * g * g
        lr = .5 if step <= 50 else .05
        s = np.clip(s - lr * (m / (1 - .9 ** step)) / (np.sqrt(v / (1 - .999 ** step)) + 1e-8), -100, 20)
    return s
def scaled(*parts, rounded=True):
    everything = np.concatenate(parts)
    mean, std = everything.mean(0), everything.std(0, ddof=1)
    out = [(p - mean) / std for p in parts]
    return [f32(o) for o in out] if rounded else out
def fls(train, base, test, gen, rounded=True):
    train, base, test, gen = scaled(train, base, test, gen, rounded=rounded)
    width = train.shape[1]
    sg = fit(distances(train, gen), width); sb = fit(distances(train, base), width)
    ng, nb = (loss(distances(test, k), s, width).mean() for k, s in ((gen, sg), (base, sb)))
    lt, le = (logsumexp(-.5 * distances(x, gen) * np.exp(-sg), axis=0) for x in (train, test))
    return 100 * np.exp(-2 * (ng - nb) / width), 100 * (lt > le).mean() - 50, sg, ng, nb

if __name__ == "__main__":
    real, test, gen, mem = (f32(x) for x in sets())
    train, base = real[:200], real[200:]
    z = scaled(train, base, test[:200], gen[:200])
    d2 = distances(z[0], z[3]); rng = np.random.default_rng(0); s = rng.normal(size=200)
    g = gradient(d2, s, 8); h = 1e-5
    num = [(loss(d2, s + h * e, 8).mean() - loss(d2, s - h * e, 8).mean()) / (2 * h) for e in np.eye(200)]
    print("gradient against differences: worst", np.abs(g - num).max(), "of", np.abs(g).max())
    for name, x in (("gen", gen[:200]), ("test half", test[200:]), ("mem", mem[:200])):
        a = fls(train, base, test[:200], x); b = fls(train, base, test[:200], x, rounded=False)
        print(name, "fls", repr(a[0]), "pog", a[1], "s", repr(a[2][:3]), a[2].min(), a[2].max(), "nll", a[3], a[4])
        print("   not rounded to f32:", repr(b[0]), b[1])
