"""Reading a config file as a test has written it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from birdwatchd.config.load import Loaded, load
from birdwatchd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Loaded]:
    monkeypatch.chdir(tmp_path)

    def read(text: str | bytes, **environment: str) -> Loaded:
        content = text if isinstance(text, bytes) else text.encode()
        Path("config.yaml").write_bytes(content)
        return load(Path("config.yaml"), environment)

    return read


@pytest.fixture
def refusal(read: Callable[..., Loaded]) -> Callable[..., str]:
    """What a file is refused with."""

    def refusal(text: str | bytes, **environment: str) -> str:
        with pytest.raises(ConfigError) as caught:
            read(text, **environment)
        return str(caught.value)

    return refusal
