"""2,000 portraits of peeps, the first 8 of them 250 times, as one zip in EDM's convention.

    peeps.py peeps-64-train.zip planted.zip
"""
import json
import sys
import zipfile

COUNT, OFTEN, TIMES = 2000, 8, 250

with zipfile.ZipFile(sys.argv[1]) as source, zipfile.ZipFile(sys.argv[2], "w") as target:
    labels = json.loads(source.read("dataset.json"))["labels"][:COUNT]
    planted = []
    for i, (name, label) in enumerate(labels):
        picture = source.read(name)
        for copy in range(TIMES if i < OFTEN else 1):
            own = f"{i:05}-{copy:03}.png"
            target.writestr(own, picture)
            planted.append([own, label])
    target.writestr("dataset.json", json.dumps({"labels": planted}))
