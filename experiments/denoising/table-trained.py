"""Prints the table of run-trained from the files that it left: table-trained.py RUNS"""
import json
import pathlib
import sys

runs = pathlib.Path(sys.argv[1])
NAMES = {
    "plain": "pictures as they are",
    "noised": "with noise",
    "tweedie": "with noise, which another model's denoiser takes away",
    "told": "with noise, and told how much",
}


def values(kind, way):
    of = []
    for seed in (1, 2, 3):
        findings = json.loads((runs / f"{kind}-{way}-{seed}.json").read_text())["generated"][0]["findings"]
        fd = next(f["value"] for f in findings if f["metric"] == "fd")
        of.append((fd, float((runs / f"{kind}-{way}-{seed}.txt").read_text().split()[0])))
    return of


print("| model | trained on | Fréchet distance, three seeds | sliced W2, three seeds | better than as they are |")
print("|---|---|---|---|---|")
for kind in ("gan", "vae"):
    usual = values(kind, "plain")
    for way, name in NAMES.items():
        found = values(kind, way)
        fds, sliced = (" ".join(f"{f[i]:.{2 + 2 * i}f}" for f in found) for i in (0, 1))
        better = [sum(f[i] < u[i] for f, u in zip(found, usual)) for i in (0, 1)]
        helped = "" if way == "plain" else f"{better[0]} of 3, {better[1]} of 3"
        print(f"| {kind} | {name} | {fds} | {sliced} | {helped} |")
