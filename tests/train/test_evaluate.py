from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdwatchd.config.schema import Deciding
from birdwatchd.detection.gates import Offer, judge, pool
from birdwatchd.domain import Label
from birdwatchd.errors import UserError
from tests.train.stand_in import LABELS, stand_in, tone
from train.evaluate import evaluation
from train.events import Matches
from train.manifest import Row
from train.report import write_report
from train.scoring import Scored, Scores, decisive, score

NAMES = [label.common_name for label in LABELS]
HALF = np.array([0.5, 0.5])


def rows(folder: Path) -> list[Row]:
    high, low, other = "Testus altus", "Testus bassus", ""
    return [
        Row(tone(folder / f"{number}.wav", name, seconds=4.0, seed=number), (name,) if name else ())
        for number, name in enumerate([high, high, low, low, other])
    ]


def scored(folder: Path) -> Scores:
    return score(stand_in(), rows(folder))


def test_a_model_that_knows_is_told_so(tmp_path: Path) -> None:
    found = evaluation("stand-in", NAMES, [(scored(tmp_path), HALF)])
    assert found.clips.figures == {
        "accuracy": 1,
        "macro_average_precision": 1,
        "macro_roc_auc": 1,
        "macro_f1_of_best": pytest.approx((4 / 5 + 1) / 2),  # best_only must call the fifth clip something
        "macro_f1_at_threshold": 1,
        "false_claims": 0,
    }
    assert len(found.clips.truth) == 5
    assert found.clips.confusion.tolist() == [[2, 0, 0], [0, 2, 0], [0, 0, 1]]


def test_windows_are_those_of_the_daemon(tmp_path: Path) -> None:
    listener = stand_in()
    row = Row(tone(tmp_path / "a.wav", "Testus altus", seconds=9.0), ("Testus altus",))
    scores = score(listener, [row], hop_seconds=1.0)
    assert len(scores.rows[0].values) == 8
    assert scores.per_window == 5  # six seconds hold so many segments of two
    truth, decisive = scores.by_window
    assert decisive.shape == truth.shape == (4, 2)
    second = np.sort(scores.rows[0].values[:5], axis=0)[-2]
    np.testing.assert_allclose(decisive[0], second)


@pytest.mark.parametrize("segments", [1, 2, 3, 7])
def test_a_window_is_claimed_where_the_daemon_would_detect(segments: int) -> None:
    draw = np.random.default_rng(segments)
    values = draw.random((segments, 40), dtype=np.float32)
    detected = decisive(values) >= 0.6
    assert detected.any()
    assert not detected.all()
    for label in range(40):
        offer = Offer(
            label=Label(label, "Testus altus", "High Tone"),
            pooled=float(pool(values)[label]),
            values=values[:, label],
            threshold=0.6,
            min_hits=Deciding().min_hits,
            silent=False,
            occurrence=None,
            named=False,
            wanted=True,
            is_species=True,
            minimum_occurrence=0.0,
            voice=False,
            resting_seconds=0.0,
        )
        assert (judge(offer)[0] == "detection") == detected[label]


def test_silence_is_not_heard_and_does_not_count_in_the_clip(tmp_path: Path) -> None:
    path = tone(tmp_path / "a.wav", "Testus altus", seconds=2.0)
    sound, rate = soundfile.read(path)
    soundfile.write(path, np.pad(sound, (0, 6 * rate)), rate)
    (found,) = score(stand_in(), [Row(path, ("Testus altus",))], hop_seconds=2.0).rows
    assert found.values.shape == (4, 2)
    assert not found.values[1:].any()
    np.testing.assert_array_equal(found.clip, found.values[0])


def test_a_bird_is_not_missed_in_the_silence_that_a_clip_is_filled_up_with() -> None:
    values = np.zeros((6, 1), dtype=np.float32)
    values[:2] = 0.9
    row = Scored(Row(Path("a.wav"), ("Testus altus",)), np.array([True]), (0, 1, 2, 3, 4, 5), values)
    silent = replace(row, values=np.zeros((6, 1), dtype=np.float32))
    scores = Scores(("Testus altus",), [row, silent], per_window=2)
    assert scores.by_segment[1].ravel() == pytest.approx([0.9, 0.9])
    changed = scores.changed(
        lambda some: some / np.float32(2) + np.float32(0.25)  # which makes something of nothing
    )
    assert changed.by_clip[1].ravel() == pytest.approx([0.7, 0])
    truth, windows = changed.by_window
    assert windows.ravel() == pytest.approx(
        [0.7, 0, 0]
    )  # one heard, one half heard, and one for the silent row
    assert truth.all()


def test_a_damaged_file_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    done: list[int] = []
    scores = score(stand_in(), [Row(tmp_path / "bad.wav", ()), *rows(tmp_path)], progress=done.append)
    assert len(scores.rows) == 5
    assert len(scores.faults) == 1
    assert "bad.wav" in scores.faults[0]
    assert done == [1, 2, 3, 4, 5, 6]


def test_nothing_readable_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none of the 1 rows .*gone\.wav"):
        score(stand_in(), [Row(tmp_path / "gone.wav", ())])


def test_labels_that_the_model_has_not_are_told(tmp_path: Path) -> None:
    path = tone(tmp_path / "a.wav", "")
    scores = score(stand_in(), [Row(path, ("Corvus corax", "Testus altus_High Tone"))])
    assert scores.unknown == {"Corvus corax"}
    assert scores.rows[0].truth.tolist() == [True, False]


def test_folds_have_mean_and_spread_and_their_own_thresholds(tmp_path: Path) -> None:
    good = scored(tmp_path)
    bad = good.changed(lambda values: values[:, ::-1])
    found = evaluation("two folds", NAMES, [(good, HALF), (bad, np.array([1.0, 1.0]))])
    mean, deviation, least, most = found.spread["accuracy"]
    assert (mean, least, most) == (0.5, 0, 1)
    assert deviation == pytest.approx(np.std([0, 1], ddof=1))
    assert found.clips.figures["accuracy"] == 0.5
    assert found.clips.figures["false_claims"] == 0  # no claim reaches the second fold's thresholds
    assert len(found.clips.truth) == 10


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path) -> None:
    found = evaluation("<stand-in>", NAMES, [(scored(tmp_path), HALF)] * 2)
    page = write_report(tmp_path / "out", found, {"Testus altus": Matches(3, 2, 4, 2)}, 60.0)
    text = page.read_text()
    assert "&lt;stand-in&gt;" in text
    assert "High Tone" in text
    assert not re.search(r"<(script|link)|src=\"(?!data:)|https?://", text)
    assert text.count("data:image/png;base64,") == 2
    assert "1.0 minutes" in text
    for name in ("confusion.png", "precision_recall.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert figures["clips"]["accuracy"] == 1
    assert figures["events"]["Testus altus"] == {"events": 3, "found": 2, "detections": 4, "false": 2}


def test_figures_that_do_not_exist_are_shown_as_such(tmp_path: Path) -> None:
    scores = score(stand_in(), rows(tmp_path)[-1:])  # nothing is in it
    page = write_report(tmp_path / "out", evaluation("nothing", NAMES, [(scores, HALF)]))
    assert ">nan<" not in page.read_text()
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["clips"]["accuracy"] is None


def test_a_place_that_cannot_be_written_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match="--output"):
        write_report(tmp_path / "out", evaluation("x", NAMES, [(scored(tmp_path), HALF)]))
