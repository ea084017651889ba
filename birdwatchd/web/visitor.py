"""Who looks at the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from birdwatchd.config.schema import Web


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks; a page has it as `request.state.visitor`."""

    kind: Literal["nobody", "session", "token"]
    """`nobody` was asked who he is, or has not said it yet; `session` has given the password; `token` is a program."""
    name: str = ""
    """As the person wished to be called at the login, or the token's."""
    csrf: str = ""
    """What a form, or the header `X-CSRF-Token`, has to bring back when something is to be changed."""


def cookie_name(config: Web) -> str:
    """Cookies do not know of ports: two stations on one machine have a name each."""
    return f"birdwatchd-{config.port}"
