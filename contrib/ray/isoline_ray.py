#!/usr/bin/env python3
"""Works on the shards of a planned isoline run with Ray.

    isoline plan job.toml -o run --shards 64
    python isoline_ray.py run
    isoline merge run

Each missing shard becomes one Ray task that calls `isoline work RUN --shard i/N` and nothing else: the program does the
work, Ray says where. A task whose worker is killed, or stops with exit code 75, is tried again and goes on where the shard
was. Wrong usage and bad model files (exit codes 2 and 3) are not tried again. The run folder and the program must lie
under the same paths on every node.

As a library: `work_on(run, isoline=..., retries=..., cpus=...)` gives {shard: the worker's line}.
"""

import argparse
import json
import subprocess
import sys

import ray

FATAL = (2, 3)


class WorkerFailed(Exception):
    """A worker that may succeed when it is started again."""


class WorkerRefused(Exception):
    """A worker that would say the same again."""


def status(run, isoline):
    """What `isoline status` says of the run."""
    done = subprocess.run([isoline, "status", run, "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr.strip())
    return json.loads(done.stdout)


def numbers(expression):
    """`3,17-19` as a list."""
    ranges = [part.split("-") for part in expression.split(",") if part]
    return [n for r in ranges for n in range(int(r[0]), int(r[-1]) + 1)]


def work(run, isoline, shard, shards):
    """One shard, to its end; gives the worker's line. Runs on some node."""
    command = [isoline, "work", run, "--shard", f"{shard}/{shards}", "--progress", "none"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout.strip()
    said = done.stderr.strip() or f"shard {shard}/{shards} ended with {done.returncode}"
    raise (WorkerRefused if done.returncode in FATAL else WorkerFailed)(said)


def work_on(run, isoline="isoline", retries=3, cpus=1):
    """Works on every missing shard; gives {shard: the worker's last line}. Raises for the first that cannot be finished."""
    state = status(run, isoline)
    if not state["shards"]:
        raise SystemExit(f"{run}: the plan fixes no number of shards; plan it with isoline plan --shards N")
    task = ray.remote(num_cpus=cpus, max_retries=retries, retry_exceptions=[WorkerFailed])(work)
    waiting = {task.remote(run, isoline, n, state["shards"]): n for n in numbers(state["missing_shards"])}
    said = {}
    while waiting:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        shard = waiting.pop(ready)
        said[shard] = ray.get(ready)
        print(said[shard], file=sys.stderr)
    return said


def main():
    parser = argparse.ArgumentParser(description="Works on the shards of a planned isoline run with Ray.")
    parser.add_argument("run", help="run folder, planned with --shards")
    parser.add_argument("--isoline", default="isoline", help="the program [default: isoline on PATH]")
    parser.add_argument("--retries", type=int, default=3, help="how often a shard is tried again [default: 3]")
    parser.add_argument("--cpus", type=float, default=1, help="processors that a shard takes [default: 1]")
    parser.add_argument("--address", help="of a running Ray cluster [default: a local one is started]")
    args = parser.parse_args()
    ray.init(address=args.address, log_to_driver=False, include_dashboard=False if args.address is None else None)
    work_on(args.run, args.isoline, args.retries, args.cpus)


if __name__ == "__main__":
    main()
