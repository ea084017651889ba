"""An action of one's own: a lamp in a smart plug goes on when a bird is heard."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from birdwatchd.actions import Action, ActionConfig, Context, GiveUp

if TYPE_CHECKING:
    from birdwatchd.domain import Detection


class Lamp(Action):
    """Switch a lamp on for a while, through a Shelly or any other plug that is switched by an address."""

    # A lamp that goes on minutes late is worth nothing. Messages, which are worth something for days, are "durable".
    durability = "ephemeral"
    default_max_age_seconds = 30.0

    class Config(ActionConfig):
        """Its settings, beside those that every action has. The text under each is its documentation."""

        host: str
        """Name or address of the plug."""
        seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
        """How long the lamp stays on."""
        path: str = "/relay/0?turn=on&timer={seconds}"
        """What is asked of the plug; `{seconds}` is replaced."""

    config: Config

    def run(self, detection: Detection, context: Context) -> None:
        """Switch it on. Whatever is raised here is told by `birdwatchd deliveries`, and it is tried again."""
        address = f"http://{self.config.host}{self.config.path.format(seconds=f'{self.config.seconds:g}')}"
        try:
            with urllib.request.urlopen(address, timeout=self.config.timeout_seconds / 2) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                # Trying again would not help: the delivery is set aside, with these words.
                raise GiveUp(f"the plug at {self.config.host} knows no {self.config.path}") from error
            raise
        context.note(status=status)

    def probe(self, detection: Detection, context: Context) -> str:
        """For `birdwatchd check --live`: is there a plug? The lamp stays as it is."""
        with urllib.request.urlopen(
            f"http://{self.config.host}/", timeout=self.config.timeout_seconds / 2
        ) as answer:
            return f"the plug at {self.config.host} answers {answer.status}"
