"""The imported BirdNET beside the TFLite runtime, on the same sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from birdwatchd.model.birdnet_files import read_weights
from birdwatchd.model.bundle import read_card
from birdwatchd.model.classifier import Classifier
from birdwatchd.model.range_model import load_range_model
from tests.shared import SHARED, needs_shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from birdwatchd.model.birdnet_files import Weights

SAMPLES = 144_000
PLACES: tuple[tuple[float, float], ...] = (
    (90, 0), (-90, 0), (0, 180), (0, -180), (66, -180), (-17, 179.9), (0, 0), (51.5, -0.1), (52.5, 13.4), (60.2, 24.9),
    (40.4, -3.7), (37.98, 23.7), (55.8, 37.6), (64.1, -21.9), (78.2, 15.6), (42.4, -76.5), (37.8, -122.4),
    (19.4, -99.1), (9.9, -84.1), (-0.2, -78.5), (-3.1, -60), (-22.9, -43.2), (-54.8, -68.3), (30, 31.2), (-1.3, 36.8),
    (-33.9, 18.4), (28.6, 77.2), (1.35, 103.8), (35.7, 139.7), (-33.9, 151.2), (-36.8, 174.8), (19.8, -155.6),
)  # fmt: skip


@pytest.fixture(scope="module")
def weights(birdnet_wheel: Path) -> Weights:
    return read_weights(birdnet_wheel)


@pytest.fixture(scope="module")
def classifier(birdnet_bundle: Path) -> Iterator[Classifier]:
    with Classifier.load(birdnet_bundle, device="cpu") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def reference(weights: Weights) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Scores of segments, (n, labels), from the TFLite runtime. The sigmoid is not in its graph."""
    run = tflite(weights.classifier)

    def scores(segments: NDArray[np.float32]) -> NDArray[np.float64]:
        logits = np.stack([run(segment) for segment in segments]).astype(np.float64)
        return 1 / (1 + np.exp(-logits))

    return scores


def tflite(content: bytes) -> Callable[[Any], NDArray[np.float32]]:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="the TFLite runtime is not installed")
    interpreter = litert.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(row: Any) -> NDArray[np.float32]:
        interpreter.set_tensor(into["index"], np.asarray([row], dtype=np.float32))
        interpreter.invoke()
        result: NDArray[np.float32] = interpreter.get_tensor(out["index"])[0].copy()
        return result

    return run


def assert_same(found: NDArray[np.float32], expected: NDArray[np.float64], tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
    audible = expected.max(axis=1) > 0.05
    assert (found.argmax(axis=1) == expected.argmax(axis=1))[audible].all()


@needs_shared
@pytest.mark.parametrize("name", ["birdnet_example.flac", "monitoR_survey.wav", "maad_spinetail.wav"])
def test_every_window_of_a_field_recording_scores_alike(
    name: str, classifier: Classifier, reference: Callable[[NDArray[np.float32]], NDArray[np.float64]]
) -> None:
    import soundfile
    import soxr

    samples, rate = soundfile.read(SHARED / "soundscapes" / name, dtype="float32", always_2d=True)
    sound = soxr.resample(samples.mean(axis=1), rate, 48000).astype(np.float32)
    segments = sound[: len(sound) // SAMPLES * SAMPLES].reshape(-1, SAMPLES)
    expected = reference(segments)
    assert expected.max() > 0.5, "the recording should have birds in it"
    assert_same(classifier.classify(segments), expected)


def test_noise_at_any_level_and_silence_score_alike(
    classifier: Classifier, reference: Callable[[NDArray[np.float32]], NDArray[np.float64]]
) -> None:
    noise = np.random.default_rng(7).standard_normal(SAMPLES)
    segments = [noise * 10 ** (dbfs / 20) for dbfs in range(-120, 1, 20)]
    segments += [np.zeros(SAMPLES), 0.7 + 1e-4 * noise]
    clipped = np.clip(np.stack(segments), -1, 1).astype(np.float32)
    assert_same(classifier.classify(clipped), reference(clipped))


def test_tones_with_nothing_beside_them_score_nearly_alike(
    classifier: Classifier, reference: Callable[[NDArray[np.float32]], NDArray[np.float64]]
) -> None:
    """In bands that hold no sound at all rounding is all there is, and a small power makes much of it."""
    seconds = np.arange(SAMPLES) / 48000
    segments = np.stack([level * np.sin(2 * np.pi * 3700 * seconds) for level in (1, 1e-3, 1e-6)]).astype(
        np.float32
    )
    assert_same(classifier.classify(segments), reference(segments), tolerance=2e-3)


def test_a_bundle_built_now_scores_alike_too(
    tmp_path: Path, weights: Weights, reference: Callable[[NDArray[np.float32]], NDArray[np.float64]]
) -> None:
    """The one in the models folder may be older than this code."""
    from birdwatchd.model.birdnet import build

    build(weights, None, tmp_path / "now.pt")
    segments = np.random.default_rng(9).normal(0, 0.05, (3, SAMPLES)).astype(np.float32)
    with Classifier.load(tmp_path / "now.pt", device="cpu") as classifier:
        assert_same(classifier.classify(segments), reference(segments))
    assert read_card(tmp_path / "now.pt").languages == ("en",)
    assert "Noise" in read_card(tmp_path / "now.pt").unranged


def test_batches_score_as_single_segments_do(classifier: Classifier) -> None:
    segments = np.random.default_rng(8).normal(0, 0.05, (5, SAMPLES)).astype(np.float32)
    alone = np.concatenate([classifier.classify(segment[None]) for segment in segments])
    np.testing.assert_allclose(classifier.classify(segments), alone, rtol=0, atol=1e-5)
    assert classifier.embed(segments).shape == (5, 1024)


def test_the_range_model_agrees_everywhere_and_in_every_week(birdnet_bundle: Path, weights: Weights) -> None:
    occurrence = load_range_model(birdnet_bundle, read_card(birdnet_bundle))
    reference = tflite(weights.range_model)
    assert occurrence is not None
    for latitude, longitude in PLACES:
        for week in range(1, 49):
            found = occurrence(latitude, longitude, week)
            np.testing.assert_allclose(found, reference((latitude, longitude, week)), rtol=0, atol=1e-4)


def test_the_card_knows_what_the_range_model_cannot_judge(birdnet_bundle: Path) -> None:
    """It was made from birds alone: everything else it calls absent, everywhere."""
    card = read_card(birdnet_bundle)
    occurrence = load_range_model(birdnet_bundle, card)
    assert occurrence is not None
    assert {"Engine", "Dog", "Human vocal", "Noise", "Power tools", "Pseudacris crucifer"} <= card.unranged
    best = np.max(
        [occurrence(*place, week) for place in PLACES for week in range(1, 49, 6)], axis=0
    )  # (labels,)
    unranged = [label.index for label in card.labels if label.scientific_name in card.unranged]
    assert len(unranged) == 101
    assert best[unranged].max() < 0.01
    assert "Parus major" not in card.unranged


def test_names_come_in_other_languages(birdnet_bundle: Path) -> None:
    label = next(
        each for each in read_card(birdnet_bundle, "de").labels if each.scientific_name == "Parus major"
    )
    assert (label.common_name, label.code) == ("Kohlmeise", "gretit1")
