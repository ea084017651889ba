"""The database, for one request: opened to read, so that nothing that is asked can hinder the recorder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from birdwatchd.store.database import Database
from birdwatchd.web.house import House

if TYPE_CHECKING:
    from collections.abc import Iterator


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


TheHouse = Annotated[House, Depends(_house)]
"""A parameter of a page: what it may ask of the daemon."""


def _reading(house: TheHouse) -> Iterator[Database]:
    with Database.open(house.database, read_only=True) as database:
        yield database


Reading = Annotated[Database, Depends(_reading)]
"""A parameter of a page: the database, open while the request lasts. A damaged one may be exchanged, so none is kept."""
