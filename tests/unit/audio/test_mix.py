"""All channels as one."""

from __future__ import annotations

import numpy as np
import pytest

from birdwatchd.audio.mix import mix


@pytest.mark.parametrize("channels", [1, 2, 4, 32])
def test_it_is_the_mean_of_the_channels(channels: int) -> None:
    block = np.random.default_rng(0).normal(0, 0.1, (480, channels)).astype(np.float32)
    before = block.copy()
    mixed = mix(block)
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed, block.astype(np.float64).mean(axis=1), atol=1e-7)
    mixed[:] = 0
    assert np.array_equal(block, before), "the block is its giver's"


def test_nothing_mixes_to_nothing() -> None:
    assert mix(np.empty((0, 2), dtype=np.float32)).shape == (0,)
