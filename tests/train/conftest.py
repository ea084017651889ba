"""Nothing is drawn by chance."""

from __future__ import annotations

import random

import pytest
import torch


@pytest.fixture(autouse=True)
def _drawn_alike() -> None:
    torch.manual_seed(0)
    random.seed(0)
