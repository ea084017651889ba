"""Secrets are found wherever a config may have them, and taken out of whatever is written down."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from birdwatchd.actions.camera_settings import CameraConfig
from birdwatchd.actions.mqtt_settings import MqttConfig
from birdwatchd.actions.notify import Notify
from birdwatchd.actions.webhook import Webhook
from birdwatchd.config.schema import Config, StreamSource
from birdwatchd.config.secrets import Secrets, secrets_of

STREAM = StreamSource(
    kind="stream",
    name="far",
    url=SecretStr("rtsp://me:p%40ssword@cam/1?token=abcdef123"),
    ffmpeg_options=("-headers", "X-Key: opensesame", "-rtsp_transport", "tcp"),
)
CONFIG = Config.model_construct(
    sources=(STREAM,),
    actions=(
        MqttConfig(name="m", kind="mqtt", username="u", password=SecretStr("swordfish")),
        Webhook.Config(
            name="w",
            kind="webhook",
            url=SecretStr("https://hooks.example/services/T0000000000000001/birds"),
            headers={"Authorization": SecretStr("Bearer tokentoken")},
            secret=SecretStr("signing-key"),
        ),
        Notify.Config(name="n", kind="notify", urls=(SecretStr("tgram://123456789:AAbbCCdd/987654321"),)),
        CameraConfig(
            name="c",
            kind="camera",
            mode="ffmpeg",
            url=SecretStr("http://admin:shutter@cam.example/video.mjpg"),
        ),
    ),
)


def test_every_secret_has_its_place() -> None:
    assert [path for path, _ in secrets_of(CONFIG)] == [
        ("sources", 0, "url"),
        ("sources", 0, "ffmpeg_options", 1),
        ("actions", 0, "password"),
        ("actions", 1, "url"),
        ("actions", 1, "headers", "Authorization"),
        ("actions", 1, "secret"),
        ("actions", 2, "urls", 0),
        ("actions", 3, "url"),
    ]


@pytest.mark.parametrize(
    "secret",
    [
        *("p@ssword", "p%40ssword", "abcdef123", "opensesame", "swordfish", "signing-key", "tokentoken"),
        *("T0000000000000001", "AAbbCCdd", "987654321", "shutter"),
        base64.b64encode(b"me:p@ssword").decode(),
    ],
)
def test_each_of_them_is_hidden_wherever_it_turns_up(secret: str) -> None:
    assert Secrets(CONFIG).without(f"no route: {secret}!") == "no route: ***!"


def test_what_is_no_secret_is_told() -> None:
    told = "rtsp at cam.example and hooks.example: video.mjpg, services, birds, tcp, me, admin"
    assert Secrets(CONFIG).without(told) == told
    assert Secrets().without("anything") == "anything"


def test_what_is_learnt_later_is_hidden_too() -> None:
    secrets = Secrets()
    secrets.learn(CONFIG)
    assert secrets.without("swordfish") == "***"


@given(password=st.text(min_size=4, max_size=30), around=st.text(max_size=10))
def test_any_password_is_hidden_in_plain_text_and_in_json(password: str, around: str) -> None:
    secrets = Secrets(MqttConfig(name="m", kind="mqtt", username="u", password=SecretStr(password)))
    assert (
        password not in secrets.without(f"{around}|{password}|{around}").replace("***", "\0")
        or "*" in password
    )
    written = json.dumps(password, ensure_ascii=False)
    assert secrets.without(written) == '"***"'
