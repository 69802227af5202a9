"""The written file: cleaned of what names the machine, opened again, looked at and run."""

from __future__ import annotations

import importlib.util
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import onnx
import torch

from isoline.errors import first_line
from isoline.subject import LATENT, PICTURE, Subject

# Protobuf ends at 2 GiB; weights of more than this lie in a file of their own.
INSIDE = (2 << 30) - (64 << 20)
# By how much of the pictures' range onnxruntime may differ.
TOLERANCE = 1e-4
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
CONTROL = {"If", "Loop", "Scan"}


class Unfit(Exception):
    """Why a file is not taken."""


def clean(model: Any) -> None:
    """Takes out every doc string and note, which hold stack traces with paths, and the prefix that the wrapper adds to
    names."""
    model.doc_string = ""
    del model.metadata_props[:]
    for holder in [*graphs(model.graph), *(g for f in model.functions for g in functions(f))]:
        scrub(holder)
        for node in holder.node:
            scrub(node)
            for attribute in node.attribute:
                attribute.doc_string = ""
                for tensor in [*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors]:
                    scrub(tensor)
        if isinstance(holder, onnx.GraphProto):
            for value in [*holder.input, *holder.output, *holder.value_info, *holder.initializer]:
                scrub(value)
    unwrap(model)


def scrub(message: Any) -> None:
    """Empties the fields of one message that are for people."""
    if message.HasField("doc_string"):
        message.ClearField("doc_string")
    if "metadata_props" in message.DESCRIPTOR.fields_by_name:
        message.ClearField("metadata_props")


def graphs(graph: Any) -> Iterator[Any]:
    """A graph and all graphs inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from graphs(inner)


def functions(function: Any) -> Iterator[Any]:
    """A local function and the graphs inside it."""
    yield function
    for node in function.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs(attribute.g)


def unwrap(model: Any) -> None:
    """Gives weights and nodes the names that they have in the caller's module, where that leaves them distinct."""
    holders = list(graphs(model.graph))
    taken = {n for g in holders for node in g.node for n in [*node.input, *node.output]}
    taken |= {t.name for g in holders for t in g.initializer}
    labels = {node.name for g in holders for node in g.node}

    def shorter(name: str, others: set[str] = taken) -> str:
        other = name.removeprefix("module.").removeprefix("/module")
        return other if other and other not in others else name

    for graph in holders:
        for node in graph.node:
            node.name = shorter(node.name, labels)
            node.input[:] = [shorter(n) for n in node.input]
            node.output[:] = [shorter(n) for n in node.output]
        for value in [*graph.initializer, *graph.value_info, *graph.input, *graph.output]:
            value.name = shorter(value.name)


def save(model: Any, path: Path) -> None:
    """Writes the file, the weights beside it where they do not fit inside."""
    weights = sum(len(t.raw_data) for t in model.graph.initializer)
    if weights <= INSIDE:
        path.write_bytes(model.SerializeToString())
    else:
        onnx.save_model(model, str(path), save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)


def inspect(path: Path, subject: Subject, dynamic: bool) -> Any:
    """The file, opened again. Raises Unfit where it is not what was asked for."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:
        raise Unfit(f"the file is not sound: {first_line(error).replace(str(path), path.name)}") from error
    model = onnx.load(str(path))
    versions = {o.domain: o.version for o in model.opset_import}
    if not 13 <= versions.get("", 0) <= 21:
        raise Unfit(f"the file has opset {versions.get('')}, expected 13 to 21")
    inputs = {v.name: axes(v) for v in model.graph.input}
    wanted = {LATENT: list(subject.shape), **{n: list(t.shape) for n, t in subject.fixed.items()}}
    if set(inputs) - set(wanted) or LATENT not in inputs:
        raise Unfit(f"the file takes {', '.join(inputs) or 'nothing'}, expected {', '.join(wanted)}")
    rows, *rest = inputs[LATENT] or [0]
    if rest != wanted[LATENT] or not (isinstance(rows, str) if dynamic else rows == 1):
        asked = f"[{'rows' if dynamic else 1}, {', '.join(map(str, wanted[LATENT]))}]"
        raise Unfit(f"the latent of the file has the shape {inputs[LATENT]}, asked was {asked}")
    if [v.name for v in model.graph.output] != [PICTURE]:
        raise Unfit(f"the file gives {', '.join(v.name for v in model.graph.output)}, expected {PICTURE}")
    for node in all_nodes(model):
        refuse(node, {(f.domain, f.name) for f in model.functions})
    return model


def all_nodes(model: Any) -> list[Any]:
    """Every node, those of inner graphs and functions too."""
    held = [*graphs(model.graph), *(g for f in model.functions for g in functions(f))]
    return [node for holder in held for node in holder.node]


def refuse(node: Any, local: set[tuple[str, str]]) -> None:
    """Raises Unfit for a node that isoline import cannot take."""
    name = f'{node.op_type}, node "{node.name}"'
    if node.domain not in ("", "ai.onnx") and (node.domain, node.op_type) not in local:
        raise Unfit(f"the file uses {node.domain}::{name}, which is no operator of ONNX")
    if node.op_type in RANDOM:
        raise Unfit(f"the file draws noise: {name}")
    if node.op_type in CONTROL:
        raise Unfit(f"the file branches: {name}")
    flags = {a.name: a for a in node.attribute}
    if "training_mode" in flags and flags["training_mode"].i:
        raise Unfit(f"the file is in training mode: {name}")
    if node.op_type == "Transpose" and "perm" in flags and min(flags["perm"].ints, default=0) < 0:
        raise Unfit(f"the exporter wrote a negative axis: {name}")


def axes(value: Any) -> list[int | str]:
    """The shape of an input or output; a free axis by its name."""
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def compare(path: Path, subject: Subject, latents: torch.Tensor, dynamic: bool) -> str | None:
    """Runs the file by onnxruntime, if that is there, and says how well it agrees; None where it is not there.

    Raises Unfit where it differs.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    expected = subject.each(latents).numpy()
    low, high = float(expected.min()), float(expected.max())
    worst = 0.0
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        known = {i.name for i in session.get_inputs()}
        spans = [(i, i + 1) for i in range(len(latents))] + ([(0, len(latents)), (0, 3)] if dynamic else [])
        for start, end in spans:
            given = dict(zip([LATENT, *subject.fixed], subject.inputs(latents[start:end]), strict=True))
            found = session.run([PICTURE], {n: t.contiguous().numpy() for n, t in given.items() if n in known})[0]
            wanted = expected[start:end]
            if found.shape != wanted.shape:
                raise Unfit(f"onnxruntime gives {list(found.shape)}, PyTorch {list(wanted.shape)}")
            worst = max(worst, float(numpy.abs(found - wanted).max()))
    except Unfit:
        raise
    except Exception as error:
        raise Unfit(f"onnxruntime cannot run the file: {first_line(error).replace(str(path), path.name)}") from error
    part = worst / (high - low) if high > low else math.inf
    if not part <= TOLERANCE:
        raise Unfit(
            f"onnxruntime differs from PyTorch by {part:.1e} of the pictures' range, expected {TOLERANCE:.0e} at most"
        )
    count = f"{len(latents)} latents" if len(latents) > 1 else "1 latent"
    return f"onnxruntime {onnxruntime.__version__} agrees to {part:.1e} of the pictures' range on {count}"


def operators(model: Any) -> Counter[str]:
    """How often each operator occurs."""
    return Counter(node.op_type for node in all_nodes(model))
