"""Prints the table of run from the files that it left: table.py RUNS"""
import json
import pathlib
import sys

runs = pathlib.Path(sys.argv[1])
FIRST = (0, 10000, 20000)


def values(name):
    of = []
    for first in FIRST:
        findings = json.loads((runs / f"{name}-{first}.json").read_text())["generated"][0]["findings"]
        fd = next(f["value"] for f in findings if f["metric"] == "fd")
        of.append((fd, float((runs / f"{name}-{first}.txt").read_text().split()[0])))
    return of


usual = values("conditional")
print("| end | from sigma | Fréchet distance, three sets of seeds | sliced W2, three sets of seeds | did it help? |")
print("|---|---|---|---|---|")
for kind in ("conditional", "tweedie", "noise-conditional"):
    for sigma in ("",) if kind == "conditional" else ("0.05", "0.1", "0.2", "0.5"):
        found = values(f"{kind}-{sigma}" if sigma else kind)
        fds, sliced = (" ".join(f"{f[i]:.{2 + 2 * i}f}" for f in found) for i in (0, 1))
        better = [sum(f[i] < u[i] for f, u in zip(found, usual)) for i in (0, 1)]
        helped = "" if not sigma else f"{better[0]} of 3 by Fréchet distance, {better[1]} of 3 by sliced W2"
        print(f"| {kind} | {sigma or '-'} | {fds} | {sliced} | {helped} |")
