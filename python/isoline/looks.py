"""Looks at a module before anything is written: does it give one picture for one latent, of floats, row by row?"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from isoline.errors import ExportError
from isoline.subject import Subject
from isoline.watching import Watch, close, first_difference, first_row_of, recorded, watched

# By how much of the largest value two readings of one picture may differ.
TOLERANCE = 1e-4
# Latents that are tried where a module makes a Python number from one.
PROBES = 64
# Parts that one message names.
NAMED = 4


def look(subject: Subject, latents: torch.Tensor, dynamic: bool) -> list[str]:
    """Every look in turn; returns what is worth saying. Raises ExportError at the first that fails."""
    floats(subject, latents)
    repeats(subject, latents)
    notes = decides(subject, latents)
    finite(subject, latents)
    notes += rows(subject, latents, dynamic)
    pictures = subject.each(latents)
    if len(pictures) > 1 and all(torch.equal(p, pictures[0]) for p in pictures[1:]):
        raise ExportError(
            f"{subject.kind} gives the same picture for {len(pictures)} latents; is the latent its first argument?"
        )
    if pictures.dim() != 4:
        notes.append(f"a picture is {list(pictures.shape[1:])}: tell isoline import how it lies, as in --picture 1x28x28")
    elif pictures.shape[1] not in (1, 3) and pictures.shape[3] not in (1, 3):
        notes.append(f"a picture has {pictures.shape[1]} channels, not 1 or 3; export the module with its decoder behind it")
    return notes


def floats(subject: Subject, latents: torch.Tensor) -> None:
    """The picture has a row for each latent, and is of real floats."""
    subject.generator.as_it_is = True
    try:
        picture = subject(latents[:1])
    finally:
        subject.generator.as_it_is = False
    if not picture.is_floating_point():
        kind = str(picture.dtype).removeprefix("torch.")
        raise ExportError(
            f"{subject.kind} returns {kind} {list(picture.shape)}, which has no derivatives; return floats and leave "
            "rounding and casting to the program that shows the picture"
        )
    if picture.dim() < 2 or picture.shape[0] != 1:
        raise ExportError(
            f"{subject.kind} returns {list(picture.shape)} for one latent; return one row for each, as in [1, 3, 64, 64]"
        )


def repeats(subject: Subject, latents: torch.Tensor) -> None:
    """One latent gives one picture."""
    first, second = subject(latents[:1]), subject(latents[:1])
    if close(first, second, 1e-6) or not (first.isfinite().all() and second.isfinite().all()):
        return
    watch = watched(subject, latents[:1])
    if watch.draws:
        parts = listed(watch.name(part) for part in watch.draws)
        raise ExportError(
            f"the module draws noise in every call: {parts}; fix it with a buffer that is drawn once, or take that part out"
        )
    culprit = first_difference(recorded(subject, latents[:1]), recorded(subject, latents[:1]), close)
    raise ExportError(
        f"the module gives another picture in every call, first in {watch.name(culprit or '')}; let it depend on the "
        "latent and its weights alone"
    )


def decides(subject: Subject, latents: torch.Tensor) -> list[str]:
    """No Python number is made from the latent: a file cannot branch on it. One that is the same for all latents is worth
    saying."""
    if not watched(subject, latents[:1]).numbers:
        return []
    first = watched(subject, latents[:1], numbers=True)
    if not first.numbers:
        return []
    what = "turns a value that depends on the latent into a Python number, as if, float() and .item() do"
    # Latents far out and at the centre meet branches that usual ones do not.
    others = [*subject.latents(PROBES)[1:], 4 * latents[0], 0 * latents[0]]
    for latent in others:
        watch = watched(subject, latent[None], numbers=True)
        culprit = first_other_number(first, watch)
        if culprit is not None:
            raise ExportError(
                f"the module decides by the latent: {watch.name(culprit)} {what}, and a file holds one branch only; compute "
                "both and choose with torch.where"
            )
    name = first.name(first.numbers[0][0])
    return [f"{name} {what}; it was the same for {len(others) + 1} latents, and the file takes it to be so for all"]


def first_other_number(a: Watch, b: Watch) -> str | None:
    """The part that makes the first number in which two calls differ."""
    for (part, x), (_, y) in zip(a.numbers, b.numbers, strict=False):
        if x != y and not (x != x and y != y):
            return part
    shorter, longer = sorted((a.numbers, b.numbers), key=len)
    return longer[len(shorter)][0] if len(longer) > len(shorter) else None


def finite(subject: Subject, latents: torch.Tensor) -> None:
    """No picture has a NaN or an infinity in it."""
    for row, latent in enumerate(latents):
        if subject(latent[None]).isfinite().all():
            continue
        calls = recorded(subject, latent[None])
        bad = next((c.name for c in calls if not all(t.isfinite().all() for t in c.given)), "")
        name = Watch(subject.generator.module).name(bad)
        raise ExportError(
            f"the picture of latent {row} of {len(latents)} is not finite, first in {name}; look for a division by 0, a "
            "logarithm or weights that are not loaded"
        )


def rows(subject: Subject, latents: torch.Tensor, dynamic: bool) -> list[str]:
    """Row 0 of a batch of two is what row 0 gives alone."""
    if len(latents) < 2:
        return ["one latent only: nobody looked whether rows are independent"]
    alone = subject(latents[:1])
    try:
        both = subject(latents[:2])
    except ExportError as error:
        if dynamic:
            raise
        return [f"written for one latent at a time, since two fail: {str(error).partition('; give an example')[0]}"]
    if both.shape[0] == 2 and close(both[:1], alone, TOLERANCE):
        return []
    culprit = first_difference(recorded(subject, latents[:2]), recorded(subject, latents[:1]), first_row_of)
    raise ExportError(
        f"the module mixes the pictures of a batch, first in {Watch(subject.generator.module).name(culprit or '')}: row "
        "0 of two is not what row 0 gives alone; take norms with running statistics, and no means over the batch"
    )


def listed(names: Iterable[str]) -> str:
    """Names, each once, the first few of them."""
    each = list(dict.fromkeys(names))
    more = f" and {len(each) - NAMED} more" if len(each) > NAMED else ""
    return ", ".join(each[:NAMED]) + more
