from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from birdwatchd.cli.model import model
from birdwatchd.config.schema import Deciding
from birdwatchd.domain import Label
from birdwatchd.errors import UserError
from birdwatchd.model.classifier import Classifier
from birdwatchd.store import reviews
from birdwatchd.store.database import Database
from tests import tiny
from tests.rows import DAWN, detection, write
from tests.tiny import CARD, LABELS, build_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

RATE = 44_100
HIGH, LOW, _ = LABELS
NOBODY = Label(9, "Corvus corax", "Raven")


def sound(*tones: tuple[float, float, float], seconds: float = 10.5) -> np.ndarray:
    """Noise, with tones of so many hertz from and until such a second."""
    at = np.arange(round(seconds * RATE)) / RATE
    samples = np.random.default_rng(1).normal(0, 0.003, len(at))
    for hertz, since, until in tones:
        samples += 0.3 * np.sin(2 * np.pi * hertz * at) * ((at >= since) & (at < until))
    return samples


CLIPS = [
    (HIGH, sound((4000, 2, 8)), "right"),
    (HIGH, sound((4000, 2, 8)), "right"),
    (HIGH, sound(), "wrong"),
    (HIGH, sound((1000, 2, 8)), "other"),
    (LOW, sound((1000, 2, 8)), "right"),
    (NOBODY, sound((4000, 2, 8)), "right"),
    (HIGH, sound((4000, 2, 8)), "unsure"),
    (HIGH, sound((4000, 2, 8)), ""),
]


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with reviewed clips beside it."""
    folder = tmp_path_factory.mktemp("station")
    found = [
        detection(60.0 * number, label, clip_path=f"{number}") for number, (label, _, _) in enumerate(CLIPS)
    ]
    path = write(folder / "birds.sqlite", *found)
    (folder / "clips").mkdir()
    with Database.open_beside(path) as database:
        for number, (one, (_, samples, verdict)) in enumerate(zip(found, CLIPS, strict=True)):
            soundfile.write(folder / "clips" / f"{number}.flac", samples, RATE)
            said = {"clip": {"file": f"{number}.flac"}, "call": {"offset_seconds": 3.0, "seconds": 4.5}}
            (folder / "clips" / f"{number}.json").write_text(json.dumps(said))
            if verdict:
                names = (LOW.scientific_name, LOW.common_name) if verdict == "other" else ("", "")
                reviews.add(
                    database,
                    reviews.Review(one.id, DAWN + timedelta(days=1), verdict, *names),  # type: ignore[arg-type]
                )
    return path


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Good ones of other shapes, and bad ones."""
    folder = tmp_path_factory.mktemp("models")
    swapped = (replace(LOW, index=0), replace(HIGH, index=1), LABELS[2])
    cards = {
        "tiny": CARD,
        "long": replace(CARD, input_seconds=5.0),
        "eager": replace(CARD, thresholds={HIGH.scientific_name: 0.0}),
        "swapped": replace(CARD, labels=swapped),
    }
    made = {name: str(build_tiny_bundle(folder / f"{name}.pt", card=card)) for name, card in cards.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "SAMPLE_RATE", 22_050)
        made["slow"] = str(build_tiny_bundle(folder / "slow.pt", card=replace(CARD, sample_rate=22_050)))
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(model, ["compare", *arguments], catch_exceptions=False, standalone_mode=False)


@pytest.mark.parametrize("other", ["tiny", "long", "slow"])
def test_models_of_other_rates_and_lengths_hear_the_same(
    station: Path, bundles: dict[str, str], other: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.pt"
    copy.write_bytes((station.parent / bundles[other]).read_bytes())
    said = json.loads(run(bundles["tiny"], str(copy), "--database", str(station), "--json").stdout)
    assert said["clips"] == 6
    for name in ("tiny", "copy"):
        high, low, raven = (
            next(one for one in said["species"] if one["scientific_name"] == wanted)
            for wanted in ("Testus altus", "Testus bassus", "Corvus corax")
        )
        assert (high["right"], high["wrong"]) == (2, 2)
        assert high["models"][name] == {"found": 2, "false": 0, "has_label": True, "average_precision": 1.0}
        assert (low["right"], low["wrong"], low["models"][name]["found"]) == (2, 0, 2)
        assert low["models"][name]["average_precision"] is None
        assert raven["models"][name]["has_label"] is False
        # The tone in the raven's clip: of it nobody has said anything.
        assert said["claims_beyond"][name] == 1


def test_what_is_wrong_is_counted_at_each_ones_thresholds(station: Path, bundles: dict[str, str]) -> None:
    outcome = run(bundles["eager"], bundles["swapped"], "--database", str(station))
    cells = {line.split("  ")[0]: line.split() for line in outcome.stdout.splitlines() if line[:1].isalpha()}
    # right, wrong, and of each model: found, false, average precision
    assert cells["High Tone"][2:] == ["2", "2", "2", "2", "1.000", "0", "1", cells["High Tone"][-1]]
    assert float(cells["High Tone"][-1]) < 0.6
    assert cells["Low Tone"][2:] == ["2", "0", "2", "0", "-", "0", "0", "-"]
    assert cells["all"][1:6] == ["5", "2", "4", "2", "1.000"]
    assert "eager has no label for Raven." in outcome.stdout


def test_the_configs_thresholds_come_first(station: Path, bundles: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        f"sources: [{{name: garden, kind: microphone}}]\nstore: {{database: {station}}}\n"
        "deciding: {thresholds: {High Tone: 0.9}}\n"
    )
    said = json.loads(
        run(
            bundles["eager"],
            bundles["tiny"],
            "-c",
            str(config),
            "--clips",
            str(station.parent / "clips"),
            "--json",
        ).stdout
    )
    assert said["all"]["models"]["eager"]["false"] == 0


def test_the_picture_is_drawn(station: Path, bundles: dict[str, str], tmp_path: Path) -> None:
    drawn = tmp_path / "compared.png"
    run(bundles["tiny"], bundles["swapped"], "--database", str(station), "--picture", str(drawn))
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_read_is_left_out_and_said(
    station: Path, bundles: dict[str, str], tmp_path: Path
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for file in (station.parent / "clips").iterdir():
        (clips / file.name).write_bytes(b"broken" if file.name == "0.flac" else file.read_bytes())
    outcome = run(bundles["tiny"], bundles["long"], "--database", str(station), "--clips", str(clips))
    assert "5 reviewed clips." in outcome.stdout
    assert "left out: " in outcome.stderr
    assert "0.flac" in outcome.stderr


def test_without_reviews_there_is_nothing_to_compare(
    station: Path, bundles: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(
        UserError, match=r"no clip in .* was reviewed since then \(8 wait for it\): judge some"
    ):
        run(bundles["tiny"], bundles["long"], "--database", str(station), "--since", "2027-01-01")
    with pytest.raises(UserError, match="there is no database at"):
        run(bundles["tiny"], bundles["long"], "--database", str(tmp_path / "none.sqlite"))


@pytest.mark.parametrize(("start", "end", "found"), [(0.0, 1.0, True), (9.5, 10.5, True), (5.0, 5.5, False)])
def test_a_short_call_is_heard_with_what_is_around_it(
    bundles: dict[str, str], start: float, end: float, found: bool, station: Path
) -> None:
    """Also at the edges of the clip: the window is moved inwards, not cut."""
    from birdwatchd.analysis.comparison import Ear

    samples = sound((4000, 0, 2), (4000, 8.5, 10.5)).astype(np.float32)
    with Classifier.load(station.parent / bundles["tiny"]) as classifier:
        ear = Ear("tiny", classifier, Deciding(min_hits=1), window_seconds=3.0, hop_seconds=1.5)
        pooled, claims = ear.hear(samples, RATE, start, end)
    assert bool(claims[0]) is found
    assert bool(pooled[0] > 0.9) is found
