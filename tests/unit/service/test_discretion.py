"""What the log may not hold: secrets, and what acts on a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import pytest
import structlog
from pydantic import SecretStr

from birdwatchd.actions.mqtt_settings import MqttConfig
from birdwatchd.config.schema import Log
from birdwatchd.config.secrets import Secrets
from birdwatchd.service.logs import set_up

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRETS = Secrets(MqttConfig(name="m", kind="mqtt", username="u", password=SecretStr('sword"fish')))


@pytest.fixture(autouse=True)
def structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_line_holds_a_secret_or_moves_the_cursor(
    capsys: pytest.CaptureFixture[str], form: Literal["text", "json"]
) -> None:
    set_up(Log(format=form), SECRETS)
    log = structlog.get_logger()
    log.info(
        "told", reason='no sword"fish', many=['a sword"fish'], inner={"of": ('sword"fish',)}, sign="\x1b[2J"
    )
    try:
        raise RuntimeError('url http://u:sword"fish@broker \x1b[2J')  # noqa: TRY301 - it is what is to be told
    except RuntimeError:
        log.exception("failed", error=ValueError('sword"fish'))
    said = capsys.readouterr().err
    assert said.count("***") >= 5
    assert "RuntimeError" in said
    assert "fish" not in said
    assert "\x1b" not in said
    if form == "json":
        first = json.loads(said.splitlines()[0])
        assert (first["reason"], first["sign"]) == ("no ***", "\\x1b[2J")
