"""Imports BirdNET v2.4: reads the weights from its TFLite files, and writes the bundle. Nothing of it is executed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from birdwatchd.domain import Label
from birdwatchd.errors import UserError
from birdwatchd.model import birdnet_graph as graph
from birdwatchd.model.birdnet_files import CLASSIFIER, SHA256
from birdwatchd.model.bundle import RANGE_MODEL, Card
from birdwatchd.model.saving import save

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from birdwatchd.model.birdnet_files import Names, Weights

LICENCE = "CC BY-NC-SA 4.0"
ATTRIBUTION = (
    "BirdNET, K. Lisa Yang Center for Conservation Bioacoustics, Cornell Lab of Ornithology, "
    "and Chair of Media Informatics, Chemnitz University of Technology"
)


def build(weights: Weights, names: Names | None, output: Path) -> None:
    """Write the bundle to `output`: classifier with embedding, range model, and `names` where they are given.

    Raises:
        UserError: the package `tflite` is missing.
        BundleError: `output` cannot be written.
    """
    network = classifier(TfliteFile(weights.classifier))
    codes = names.codes if names else {}
    labels = tuple(
        Label(index, scientific_name, common_name, codes.get(line, ""))
        for index, line in enumerate(weights.labels)
        for scientific_name, common_name in [line.split("_", 1)]
    )
    card = Card(
        name="BirdNET",
        version="2.4",
        labels=labels,
        sample_rate=graph.SAMPLE_RATE,
        input_seconds=graph.INPUT_SAMPLES / graph.SAMPLE_RATE,
        thresholds={},
        licence=LICENCE,
        attribution=ATTRIBUTION,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        embedding_dims=graph.EMBEDDING_DIMS,
        source=weights.source,
        source_sha256=SHA256[CLASSIFIER],
        unranged=unranged(labels),
        sounds=sounds(labels),
    )
    translations = names.languages if names else {}
    files = {
        f"names/{language}.txt": "\n".join(translated).encode()
        for language, translated in translations.items()
    }
    files[RANGE_MODEL] = traced(range_model(TfliteFile(weights.range_model)), 3).half().save_to_buffer()
    save(traced(network, graph.INPUT_SAMPLES, "embed"), output, card, files)


def sounds(labels: Sequence[Label]) -> frozenset[str]:
    """Labels that are no species. They have the same name twice."""
    return frozenset(label.scientific_name for label in labels if label.scientific_name == label.common_name)


def unranged(labels: Sequence[Label]) -> frozenset[str]:
    """Labels that the range model knows nothing of: it was made from eBird, where there are birds only.

    Besides the sounds these are frogs, insects and mammals, which have a code that is none of eBird's. It gives all of
    them less than 0.005, everywhere and in every week.
    """
    animals = (label.scientific_name for label in labels if label.code.startswith("t-"))
    return sounds(labels).union(animals)


def require_reader() -> Any:
    """The package that reads the weights' files. Asked for before anything is downloaded.

    Raises:
        UserError: it is missing.
    """
    try:
        import tflite
    except ImportError as error:
        raise UserError(
            "the package tflite, which reads BirdNET's file, is missing: pip install 'birdwatchd[birdnet]'"
        ) from error
    return tflite


class TfliteFile:
    """A TFLite file, its tensors by number and its layers in the order in which they are computed."""

    def __init__(self, content: bytes) -> None:
        """Open the flatbuffer; nothing is copied yet.

        Raises:
            UserError: the package `tflite` is missing.
        """
        self._tflite = tflite = require_reader()
        self._model = tflite.Model.GetRootAs(content, 0)
        self._graph = self._model.Subgraphs(0)
        # Half-precision weights are converted by an operator of their own: tensor number -> number of its origin.
        self._origin: dict[int, int] = {
            operator.Outputs(0): operator.Inputs(0)
            for code, operator in self._operators()
            if code == tflite.BuiltinOperator.DEQUANTIZE
        }

    def tensor(self, index: int) -> NDArray[np.float32]:
        """The constant tensor of that number."""
        tensor = self._graph.Tensors(self._origin.get(index, index))
        kind = {self._tflite.TensorType.FLOAT32: "<f4", self._tflite.TensorType.FLOAT16: "<f2"}[tensor.Type()]
        content = self._model.Buffers(tensor.Buffer()).DataAsNumpy().view(kind)
        shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()
        result: NDArray[np.float32] = content.reshape(shape).astype(np.float32)
        return result

    def layers(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Weight, (out, height, width, in) or (out, in), and bias of every layer that has a bias, in their order."""
        builtin = self._tflite.BuiltinOperator
        for code, operator in self._operators():
            if code not in (builtin.CONV_2D, builtin.DEPTHWISE_CONV_2D, builtin.FULLY_CONNECTED):
                continue
            if operator.Inputs(2) < 0:
                continue
            weight = self.tensor(operator.Inputs(1))
            if code == builtin.DEPTHWISE_CONV_2D:
                weight = weight.transpose(3, 1, 2, 0)  # there it is (1, height, width, out)
            yield weight, self.tensor(operator.Inputs(2))

    def _operators(self) -> Iterator[tuple[int, Any]]:
        for number in range(self._graph.OperatorsLength()):
            operator = self._graph.Operators(number)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            # Codes above 127 stand in the newer of the two fields.
            yield max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), operator


def classifier(file: TfliteFile) -> graph.BirdNet:
    """The classifier with its weights. Tensor numbers are those of the one file whose hash is pinned."""
    scales, shifts = file.tensor(163), file.tensor(162)
    low, high = (
        graph.Bands(
            file.tensor(window),
            file.tensor(bands),
            hop,
            power=float(file.tensor(power)),
            scale=float(scales[channel]),
            shift=float(shifts[channel]),
            thins=channel == 0,
        )
        for channel, (window, bands, power, hop) in enumerate(
            ((129, 166, 165, graph.HOPS[0]), (126, 168, 167, graph.HOPS[1]))
        )
    )
    front_end = graph.FrontEnd(low, high)
    body = graph.Body(scale=file.tensor(161), shift=file.tensor(160))
    network = graph.BirdNet(front_end, body)
    hand_over(file, network)
    return network


def range_model(file: TfliteFile) -> graph.RangeModel:
    """The species range model with its weights, in half precision as in the file. The numbers are as above."""
    latitude, longitude, week, turn, gain = (float(file.tensor(index)) for index in (10, 7, 9, 12, 11))
    network = graph.RangeModel(file.tensor(8), cycles=(latitude, longitude, week), turn=turn, gain=gain)
    hand_over(file, network)
    return network


def hand_over(file: TfliteFile, network: torch.nn.Module) -> None:
    """Give the layers of `network`, in the order they were registered, the weights of `file`."""
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, file.layers(), strict=True):
            if isinstance(layer, torch.nn.Conv2d):
                weight = weight.transpose(0, 3, 1, 2)  # noqa: PLW2901 - (out, in, height, width), as torch has it
            else:
                weight = weight.reshape(layer.weight.shape)  # noqa: PLW2901 - some dense layers are convolutions there
            layer.weight.copy_(torch.from_numpy(weight))
            assert layer.bias is not None  # noqa: S101 - every layer of the graph has one
            layer.bias.copy_(torch.from_numpy(bias))


def traced(network: torch.nn.Module, width: int, *methods: str) -> torch.jit.ScriptModule:
    """`network` as TorchScript, unfrozen, for inputs (any batch, width)."""
    network.eval().requires_grad_(False)
    inputs: Mapping[str, torch.Tensor] = dict.fromkeys(("forward", *methods), torch.zeros(2, width))
    module: torch.jit.ScriptModule = torch.jit.trace_module(network, inputs, check_trace=False)  # type: ignore[no-untyped-call] # torch leaves it so
    return module
