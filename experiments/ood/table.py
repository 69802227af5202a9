"""Prints the separations in a folder of reports of isoline ood score."""
import json
import pathlib
import sys

print("| pictures | likelihood alone | dimension alone | both, calibrated | both, best thresholds | said to be outside, of the others |")
print("|---|---|---|---|---|---|")
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
    report = json.loads(path.read_text())
    found = report["separation"]
    area = lambda d: "{:.3f} ({:.3f} to {:.3f})".format(d["auc"], *d["auc_interval"])
    outside = sum(p["verdict"] != "in" for p in report["pictures"]) / len(report["pictures"])
    cells = [path.stem, *(area(found[k]) for k in ("likelihood", "dimension", "pair")), f"{found['oracle']:.3f}"]
    print("| " + " | ".join(cells) + f" | {100 * outside:.0f} %, {100 * found['false_alarms']:.0f} % |")
