#!/usr/bin/env python3
"""The Ray driver against the real program: one worker is killed on its way, and the merged run is that of one process.

    python test_isoline_ray.py PATH_TO_ISOLINE
"""

import hashlib
import json
import os
import pathlib
import stat
import subprocess
import sys
import tempfile

import ray

import isoline_ray

JOB = """model = "digits-gan"
seeds = "0-199"
outdir = "unused"
tile = 8
steps = 3
corrections = 0
[[jobs]]
name = "novel"
mode = "novel"
"""
SHARDS = 4
KILLED = 2


def hashes(run):
    own = ("events.jsonl", "run.lock", "provenance.json", "plan.toml", "shards")
    files = [p for p in sorted(run.rglob("*")) if p.is_file() and p.relative_to(run).parts[0] not in own]
    return {str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def main():
    isoline = str(pathlib.Path(sys.argv[1]).resolve())
    os.environ["ISOLINE_DEVICE"] = "cpu"
    os.environ.setdefault("ISOLINE_MODELS", str(pathlib.Path(__file__).resolve().parents[2] / "models"))
    assert isoline_ray.numbers("3,17-19") == [3, 17, 18, 19] and isoline_ray.numbers("") == []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "job.toml").write_text(JOB)
        call = lambda *args: subprocess.run([isoline, *args], cwd=folder, check=True, capture_output=True, text=True)
        call("generate", "-q", "-c", "job.toml", "-o", "whole")
        call("plan", "-q", "job.toml", "-o", "run", "--shards", str(SHARDS))
        # The program, but that the first worker of one shard is killed as soon as it has finished a tile.
        flaky = folder / "flaky"
        flaky.write_text(
            f"""#!/bin/bash
if [[ "$*" == *"--shard {KILLED}/{SHARDS}"* ]] && mkdir {folder}/killed 2>/dev/null; then
  {isoline} "$@" &
  until grep -q '"event":"tile"' {folder}/run/shards/{KILLED:05}-of-{SHARDS:05}.events.jsonl 2>/dev/null; do sleep 0.005; done
  kill -KILL $!
  wait $!
  exit $?
fi
exec {isoline} "$@"
"""
        )
        flaky.chmod(flaky.stat().st_mode | stat.S_IXUSR)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        said = isoline_ray.work_on(str(folder / "run"), str(flaky), cpus=1)
        assert sorted(said) == list(range(SHARDS)), said
        assert isoline_ray.work_on(str(folder / "run"), str(flaky)) == {}, "a finished run was worked on again"
        call("merge", "run")
        provenance = json.loads((folder / "run/provenance.json").read_text())
        attempts = [shard["attempt"] for shard in provenance["shards"]]
        assert attempts == [2 if i == KILLED else 1 for i in range(SHARDS)], attempts
        assert hashes(folder / "run") == hashes(folder / "whole"), "the merged run differs from that of one process"
        # What would fail again is not tried again.
        (folder / "run/plan.toml").write_text("format = 1\n")
        try:
            isoline_ray.status(str(folder / "run"), isoline)
            raise AssertionError("a damaged plan passed")
        except SystemExit as refused:
            assert "plan.toml" in str(refused), refused
        ray.shutdown()
    print(f"ray {ray.__version__}: {SHARDS} shards, one worker killed and tried again, merged to the same bytes")


if __name__ == "__main__":
    main()
