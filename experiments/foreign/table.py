"""Prints reward and steering reports as rows of a Markdown table."""
import json
import sys

reward, steer = (json.load(open(path)) for path in sys.argv[1:3])
for method in steer["methods"]:
    figure = lambda name, digits: "-" if method[name] is None else f"{method[name]:.{digits}f}"
    miss = lambda name, digits: f"{method['misses'][name]:.{digits}f}"
    cells = [
        steer["model"],
        str(reward["model_rank"]),
        "-" if reward["spearman"] is None else f"{reward['spearman']:.3f}",
        method["name"],
        figure("spearman", 3),
        figure("spearman_unadjusted", 3),
        f"{miss('median', 2)} / {miss('p90', 2)} / {miss('max', 1)}",
        f"{100 * method['misses']['beyond_3']:.1f} %",
        f"{100 * method['off_manifold']:.1f} %",
        f"{method['mean_angle']:.0f}°",
        f"{1e3 * method['seconds_per_sample']:.1f}",
    ]
    print("| " + " | ".join(cells) + " |")
