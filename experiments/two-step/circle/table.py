"""Prints the table of run from the files that it left: table.py RUNS"""
import json
import pathlib
import sys

runs = pathlib.Path(sys.argv[1])
print("| seed | model | seconds of training | sliced W2 | off the circle, median and 95 % | squared score, t = 0.001 over 0.1 |")
print("|---|---|---|---|---|---|")
NAMES = {"two-step": "two-step", "ambient": "denoiser of the values", "flow-exact": "flow, exact points", "flow-rounded": "flow, rounded points",
         "flow-circle": "flow, rounded points and noise"}
for seed in (1, 2, 3):
    seconds = dict(line.split() for line in (runs / f"seconds-{seed}.txt").read_text().splitlines())
    for model, parts in (("two-step", ["code", "two-step"]), ("ambient", ["ambient"]), ("flow-exact", ["flow-exact"]), ("flow-rounded", ["flow-rounded"]),
                         ("flow-circle", ["flow-circle"])):
        # Some runs were made without a clock.
        spent = f"{sum(float(seconds[p]) for p in parts):.0f}" if all(p in seconds for p in parts) else "-"
        distance, middle, most = (runs / f"{model}-{seed}.txt").read_text().split()
        grown = "-"
        if "flow" not in model:
            levels = json.loads((runs / f"diagnose-{model}-{seed}.json").read_text())["density"]["levels"]
            grown = f"{levels[0]['score'] / levels[-1]['score']:.2f}"
        print(f"| {seed} | {NAMES[model]} | {spent} | {distance} | {middle}, {most} | {grown} |")
    floor = (runs / f"points-{seed}.txt").read_text().split()[0]
    print(f"| {seed} | the training points | - | {floor} | - | - |")
