"""Prints the table of run from the files that it left: table.py RUNS"""
import json
import pathlib
import sys

runs = pathlib.Path(sys.argv[1])


def value(name, metric):
    findings = json.loads((runs / f"{name}.json").read_text())["generated"][0]["findings"]
    return next(f["value"] for f in findings if f["metric"] == metric)


print("| seed | model | seconds of training | sliced W2 of pixels | Fréchet distance | precision | recall |")
print("|---|---|---|---|---|---|---|")
for seed in (1, 2, 3):
    seconds = dict(line.split() for line in (runs / f"seconds-{seed}.txt").read_text().splitlines())
    for model, parts in (("ambient", ["ambient"]), ("two-step", ["autoencoder", "two-step"])):
        name = f"{model}-{seed}"
        own, floor = map(float, (runs / f"{name}.txt").read_text().split())
        spent = sum(float(seconds[p]) for p in parts)
        fd, precision, recall = (value(name, m) for m in ("fd", "precision", "recall"))
        print(f"| {seed} | {model} | {spent:.0f} | {own:.4f} | {fd:.2f} | {precision:.2f} | {recall:.2f} |")
print(f"\ntest pictures among themselves: sliced W2 {floor:.4f}")
