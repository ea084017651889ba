"""What the webhook says and what it makes of an answer, without a network."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from birdwatchd.actions.webhook import Webhook, key_of, signature

NOW = datetime(2026, 5, 9, 4, 43, 0, tzinfo=UTC)


SECRET = "hush"  # noqa: S105 - it opens nothing


def config(**settings: Any) -> Any:
    given = {"name": "one", "kind": "webhook", "url": "https://example.org/birds", **settings}
    return Webhook.Config.model_validate(given)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of the specification's own libraries.
    key = key_of(SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_plain_secret_is_its_own_key() -> None:
    expected = hmac.new("wrén".encode(), b"a.1.{}", hashlib.sha256).digest()
    assert signature(key_of(SecretStr("wrén")), "a", 1, b"{}") == f"v1,{base64.b64encode(expected).decode()}"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("Sat, 09 May 2026 04:45:00 GMT", 120.0),
        ("Sat, 09 May 2026 04:45:00 -0000", 120.0),
        ("Sat, 09 May 2020 04:45:00 GMT", 0.0),
        ("99999999999", 86400.0),
        ("Sat, 09 May 9999 04:45:00 GMT", 86400.0),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("Sat, 99 May 2026 04:45:00 GMT", None),
    ],
)
def test_the_server_says_when_to_come_again(written: str, seconds: float | None) -> None:
    assert Webhook(config(), now=lambda: NOW)._pause(written) == seconds


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "example.org"},
        {"url": "ftp://example.org"},
        {"url": "http://"},
        {"url": "http://[::1"},
        {"url": "http://a:99999999/"},
        {"secret": ""},
        {"secret": "whsec_not base64"},
        {"headers": {"A b": "x"}},
        {"headers": {"Content-Length": "3"}},
        {"headers": {"Authorization": "Bearer x\r\nHost: evil"}},
        {"headers": {"Authorization": "Bärer"}},
        {"redirects": True},
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**settings)


def test_no_secret_shows_in_the_config() -> None:
    found = config(
        url="https://u:hush@example.org/?key=hush",
        secret=SECRET,
        headers={"Authorization": SECRET},
    )
    assert SECRET not in f"{found!r} {found} {found.model_dump_json()}"


def test_a_message_kept_from_an_earlier_day_has_a_new_time() -> None:
    """Servers refuse signatures that are minutes old."""
    clock = [NOW]
    one = Webhook(config(secret=SECRET), now=lambda: clock[0])
    first = one._headers("key", b"{}")
    clock[0] += timedelta(days=1)
    second = one._headers("key", b"{}")
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 86400
    assert first["webhook-signature"] != second["webhook-signature"]
