"""A house without a daemon, for tests that ask the app itself: what it says is made up, its database is real."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from starlette.testclient import TestClient

from birdwatchd.audio.windows import Plan
from birdwatchd.config.schema import Config
from birdwatchd.web.app import create_app
from birdwatchd.web.house import House
from birdwatchd.web.news import News
from tests.observed import Station
from tests.rows import BLACKBIRD, COOT, GREAT_TIT, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fastapi import FastAPI

    from birdwatchd.audio.source import Source
    from birdwatchd.domain import Candidate, Detection, LedgerEntry

URL = "http://127.0.0.1:8080"


@dataclass
class MadeUp:
    """What a test may change while the house stands."""

    station: Station
    config: Config
    news: News = field(default_factory=News)
    sources: list[Source] = field(default_factory=list)

    def house(self, **more: Any) -> House:
        """`more` are further fields of House."""
        fields: dict[str, Any] = {
            "config": lambda: self.config,
            "zone": lambda: ZoneInfo("Europe/Berlin"),
            "status": self.station.observer.status,
            "model": lambda: "tiny-1",
            "plan": lambda: Plan(6.0, 1.5, 48000, 144_000),
            "labels": lambda: (GREAT_TIT, BLACKBIRD, COOT),
            "sources": lambda: tuple(self.sources),
            "news": self.news,
        }
        return House(**{**fields, **more})

    def ask(self, *, url: str = URL, **more: Any) -> TestClient:
        """A client of an app of this house."""
        return client_of(create_app(self.house(**more)), url)


def client_of(app: FastAPI, url: str = URL) -> TestClient:
    """A client of an app, which follows no redirect."""
    return TestClient(app, base_url=url, follow_redirects=False)


def asked(method: str, path: str) -> dict[str, Any]:
    """What an app is told of a request, for who looks at its answer as it is sent."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8080")],
        "scheme": "http",
        "server": ("127.0.0.1", 8080),
        "client": ("127.0.0.1", 1),
        "http_version": "1.1",
    }


def made_up(
    folder: Path,
    rows: Sequence[Detection | Candidate | LedgerEntry] = (),
    *,
    web: dict[str, Any] | None = None,
    **settings: Any,
) -> MadeUp:
    """A station in `folder` with these rows; `web` and `settings` go into its config."""
    database = write(folder / "birds.sqlite", *rows)
    written = {
        "node": "wood",
        "sources": [{"kind": "microphone", "name": "garden"}],
        "store": {"database": str(database), "clips_folder": str(folder / "clips")},
        "web": {"port": 8080, **(web or {})},
        **settings,
    }
    return MadeUp(Station(database), Config.model_validate(written))
