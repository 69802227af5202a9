"""Gathers what `run` found into one JSON, or shows that JSON as a table."""
import csv
import json
import sys
from pathlib import Path

NAMES = [f"{objective}-{seed}" for objective in ("direct", "consistency") for seed in (1, 2, 3)]


def psi(folder):
    with open(folder / "descriptors.csv") as file:
        return [float(row["psi"]) for row in csv.DictReader(file)]


def ranks(values):
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    for rank, i in enumerate(order):
        found[i] = rank
    return found


def spearman(a, b):
    """Of values without ties."""
    a, b = ranks(a), ranks(b)
    n = len(a)
    return 1 - 6 * sum((x - y) ** 2 for x, y in zip(a, b)) / (n * (n * n - 1))


def gather(work, budget):
    teacher = psi(work / "teacher-psi")
    evaluation = json.loads((work / "evaluation.json").read_text())["generated"]
    metrics = {}
    for found in evaluation:
        name = Path(found["set"]["path"]).name.removesuffix("-pictures")
        metrics[name] = {f["metric"]: [f["value"], *f["interval"]] for f in found["findings"]}
    rows = [{"name": "teacher", **metrics["teacher"]}]
    for name in NAMES:
        solved = json.loads((work / f"{name}.json").read_text())
        own = psi(work / f"{name}-psi")
        drift = [b - a for a, b in zip(teacher, own)]
        mean = sum(drift) / len(drift)
        rows.append(
            {
                "name": name,
                "error": [solved["relative"], *solved["interval"]],
                "psi_drift": mean,
                "psi_drift_std": (sum((d - mean) ** 2 for d in drift) / (len(drift) - 1)) ** 0.5,
                "psi_spearman": spearman(teacher, own),
                **metrics[name],
            }
        )
    return {"budget": budget, "rows": rows}


def show(found):
    print(found["budget"])
    head = ["student", "error of the end", "FD", "precision", "recall", "drift of psi, nats", "Spearman of psi"]
    print("\t".join(head))
    for row in found["rows"]:
        cell = lambda key, digits: f"{row[key][0]:.{digits}f} ({row[key][1]:.{digits}f} to {row[key][2]:.{digits}f})" if key in row else "-"
        drift = f"{row['psi_drift']:+.1f} ± {row['psi_drift_std']:.1f}" if "psi_drift" in row else "-"
        order = f"{row['psi_spearman']:.2f}" if "psi_spearman" in row else "-"
        print("\t".join([row["name"], cell("error", 3), cell("fd", 2), cell("precision", 3), cell("recall", 3), drift, order]))


if sys.argv[1] == "--show":
    show(json.loads(Path(sys.argv[2]).read_text()))
else:
    print(json.dumps(gather(Path(sys.argv[1]), sys.argv[2]), indent=1))
