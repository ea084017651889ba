from __future__ import annotations

import hashlib

import numpy as np
import pytest

from birdwatchd.model.probes import best_scores, furthest_move, probe_segments


def test_the_probes_are_silence_and_the_same_noise_for_ever() -> None:
    silence, noise = probe_segments(144_000)
    assert not silence.any()
    assert 20 * np.log10(noise.std()) == pytest.approx(-24.8, abs=0.1)
    assert hashlib.sha256(noise.tobytes()).hexdigest()[:16] == "180b194084e0857d"


def test_the_five_best_scores_are_recorded_and_compared() -> None:
    scores = np.linspace(0, 1, 20, dtype=np.float32).reshape(2, 10)
    recorded = best_scores(scores)
    assert list(recorded["silence"]) == [9, 8, 7, 6, 5]
    assert furthest_move(recorded, scores) == 0
    moved = scores.copy()
    moved[1, 7] -= 0.25
    assert furthest_move(recorded, moved) == pytest.approx(0.25)
    assert furthest_move({}, moved) == 0
