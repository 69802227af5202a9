"""One thread, so that a shared machine is not slowed down; and the program, where the tests are told of one."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def program() -> str:
    """The isoline program that ISOLINE names."""
    path = os.environ.get("ISOLINE")
    if not path:
        pytest.skip("ISOLINE names no isoline program")
    return path


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).resolve().parents[2]
