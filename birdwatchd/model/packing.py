"""Lays the weights of linear layers out as this processor's matrix products want them: once, not in every call.

Done to the network in memory, never to its file, which has to run everywhere. A product is oneDNN's then, which is a little
quicker than MKL's by itself, and half as long where there are more weights than sound: in the last two layers of BirdNET.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

LINEAR = """graph(%input, %weight, %bias):
  %output = aten::linear(%input, %weight, %bias)
  return (%output)"""
ONEDNN_LINEAR = """graph(%input, %weight, %bias):
  %then : str = prim::Constant[value="none"]()
  %scalars : Scalar?[] = prim::ListConstruct()
  %algorithm : NoneType = prim::Constant()
  %output = mkldnn::_linear_pointwise(%input, %weight, %bias, %then, %scalars, %algorithm)
  return (%output)"""


def can_pack() -> bool:
    """Whether torch has what it takes here. On other processors than x86-64 nobody has measured what it gives."""
    known = all(hasattr(torch.ops.mkldnn, name) for name in ("_linear_pointwise", "_reorder_linear_weight"))
    return known and bool(torch._C._has_mkldnn) and platform.machine() in ("x86_64", "AMD64")  # noqa: SLF001 - the public name is untyped


def pack(graphs: Iterable[Any]) -> None:
    """Pack the weights in the frozen `graphs` (torch.Graph; torch's types of it are incomplete) of one network, in place; before they first run.

    A graph with weights that are computed, or are not float32, is left alone.
    """
    places: dict[int, list[tuple[Any, Any]]] = {}  # by where a plain weight lies: graphs share them
    for graph in graphs:
        if not all(map(_is_plain, graph.findAllNodes("aten::linear"))):
            continue
        torch._C._jit_pass_custom_pattern_based_rewrite_graph(LINEAR, ONEDNN_LINEAR, graph)  # noqa: SLF001 - there is no public way
        for node in graph.findAllNodes("mkldnn::_linear_pointwise"):
            places.setdefault(_weight(node).data_ptr(), []).append((graph, node))
    # One after the other, each let go of before the next: memory never holds all of them twice.
    for its in places.values():
        packed = torch.ops.mkldnn._reorder_linear_weight(_weight(its[0][1]))  # noqa: SLF001 - as above
        for graph, node in its:
            constant = graph.create("prim::ConstantMKLDNNTensor", 1)
            constant.t_("value", packed)
            constant.insertBefore(node)
            plain = node.inputsAt(1).node()
            node.replaceInputWith(plain.output(), constant.output())
            if not plain.hasUses():
                plain.destroy()


def _weight(linear: Any) -> torch.Tensor:
    weight: torch.Tensor = linear.inputsAt(1).node().t("value")
    return weight


def _is_plain(linear: Any) -> bool:
    weight = linear.inputsAt(1).node()
    if weight.kind() != "prim::Constant" or not weight.hasAttribute("value"):
        return False
    tensor = _weight(linear)
    return tensor.dtype == torch.float32 and tensor.dim() == 2  # noqa: PLR2004 - (out, in)
