"""`webhook`: a detection is posted to a web server. docs/webhook.md is what its author reads."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated

import httpx
from pydantic import AfterValidator, SecretStr

from birdwatchd.actions import Action, ActionConfig, Context, GiveUp, Postpone
from birdwatchd.actions.http import Headers, WebAddress, open_client, reach, server_of, why_no_answer
from birdwatchd.actions.payload import encoded
from birdwatchd.config.kinds import FilePath, Takes, refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from birdwatchd.domain import Detection

ANSWER_BYTES = 65_536
"""Read so that the connection can be used again; a longer answer is hung up on."""
SHOWN_CHARACTERS = 200
LONGEST_PAUSE_SECONDS = 86_400.0
PREFIX = "whsec_"


def _secret(secret: SecretStr) -> SecretStr:
    try:
        key = key_of(secret)
    except binascii.Error:
        raise refusal(f"text, or {PREFIX} and base64") from None
    if not key:
        raise refusal("text, or nothing at all for no signature", "it is empty")
    return secret


def key_of(secret: SecretStr) -> bytes:
    """The key of the signature: after `whsec_` it is base64, otherwise the text's UTF-8 itself."""
    text = secret.get_secret_value()
    if text.startswith(PREFIX):
        return base64.b64decode(text.removeprefix(PREFIX), validate=True)
    return text.encode()


def signature(key: bytes, identity: str, seconds: int, body: bytes) -> str:
    """The signature of the Standard Webhooks specification, version 1 (https://www.standardwebhooks.com)."""
    signed = f"{identity}.{seconds}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


class Webhook(Action):
    """Post each detection to a web server, as JSON.

    docs/webhook.md shows the JSON, and how to check the signature. A server's error (5xx), its "too many" (429, with
    `Retry-After`) and a network that is down mean that it is tried again; any other answer but 2xx is final.
    """

    class Config(ActionConfig):
        """Post each detection to a web server, as JSON."""

        url: WebAddress
        """Where to; `${NAME}` is replaced from the environment, so that secrets need not stand here."""
        headers: Headers = {}  # noqa: RUF012 - pydantic copies it
        """Headers to send along, such as `Authorization: Bearer ${TOKEN}`."""
        secret: Annotated[SecretStr, AfterValidator(_secret), Takes("text")] | None = None
        """Signs every message (HMAC-SHA256), so that the server can tell ours from others'; no signature when left out."""
        ca: FilePath | None = None
        """Certificate (PEM) of the authority that signed the server's; the system's authorities when left out."""

    config: Config
    durability = "durable"

    def __init__(self, config: Config, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`now` tells the time of the signature, and from when a server's date counts."""
        super().__init__(config)
        self._now = now
        self._client: httpx.Client | None = None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def run(self, detection: Detection, context: Context) -> None:
        """Post it, and see what is answered."""
        try:
            status, said, headers = self._post(detection, context)
        except httpx.HTTPError as error:
            raise Postpone(why_no_answer(error, self.config.url)) from None
        context.note(status=status)
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own
            return
        told = f"{server_of(self.config.url)} answers {status}{': ' if said else ''}{said}"
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise Postpone(told, self._pause(headers.get("retry-after", "")))
        if 300 <= status < 400:  # noqa: PLR2004 - HTTP's own
            told += "; it has moved, and redirects are not followed: write its new address"
        raise GiveUp(told)

    def probe(self, detection: Detection, context: Context) -> str:
        """Connect to the server."""
        return reach(self.config.url, self.config.timeout_seconds / 2, ca=self.config.ca)

    def _post(self, detection: Detection, context: Context) -> tuple[int, str, httpx.Headers]:
        until = time.monotonic() + 0.9 * self.config.timeout_seconds
        if self._client is None:
            self._client = open_client(self.config.timeout_seconds, ca=self.config.ca)
        body = encoded(detection, context)
        headers = self._headers(context.delivery.key, body)
        address = self.config.url.get_secret_value()
        answer = b""
        with self._client.stream("POST", address, content=body, headers=headers) as response:
            try:
                for piece in response.iter_raw():
                    answer += piece
                    if len(answer) > ANSWER_BYTES or time.monotonic() > until:
                        break
            except httpx.HTTPError:
                # The status has come: that is what counts.
                pass
            said = " ".join(answer[: 4 * SHOWN_CHARACTERS].decode(errors="replace").split())
            return response.status_code, self._without_secrets(said)[:SHOWN_CHARACTERS], response.headers

    def _headers(self, key: str, body: bytes) -> httpx.Headers:
        seconds = int(self._now().timestamp())
        headers = httpx.Headers(
            {name: value.get_secret_value() for name, value in self.config.headers.items()}
        )
        headers.update(
            {"content-type": "application/json", "webhook-id": key, "webhook-timestamp": str(seconds)}
        )
        if self.config.secret is not None:
            headers["webhook-signature"] = signature(key_of(self.config.secret), key, seconds, body)
        return headers

    def _without_secrets(self, said: str) -> str:
        """Some servers answer with what they were sent."""
        secrets = [self.config.url, *self.config.headers.values()]
        for secret in (one.get_secret_value() for one in secrets):
            if len(secret) >= 4:  # noqa: PLR2004 - a shorter one would take pieces out of words
                said = said.replace(secret, "***")
        return said

    def _pause(self, written: str) -> float | None:
        """What a server's `Retry-After` asks for, in seconds; None where it asks for nothing that makes sense."""
        if written.strip().isdecimal():
            seconds = float(written)
        else:
            try:
                until = parsedate_to_datetime(written)
            except (ValueError, TypeError, OverflowError):
                return None
            seconds = (until.replace(tzinfo=until.tzinfo or UTC) - self._now()).total_seconds()
        return min(max(seconds, 0.0), LONGEST_PAUSE_SECONDS)
