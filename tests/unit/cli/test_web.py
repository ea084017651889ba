"""`birdwatchd web`: what opens the page."""

from __future__ import annotations

import socket
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from birdwatchd.cli.check import check
from birdwatchd.cli.check_live import Found, trials
from birdwatchd.cli.web import web
from birdwatchd.config.load import load
from birdwatchd.errors import ConfigError, UserError
from birdwatchd.web.password import fits

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "sources: [{{name: garden, kind: microphone}}]\nweb:\n  port: 8080\n  address: {address}\n{more}"


def written(tmp_path: Path, more: str, address: str = "192.168.1.5") -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(more=more, address=address))
    path.chmod(0o600)
    return path


def test_the_password_goes_into_the_config_as_it_is_printed(tmp_path: Path) -> None:
    done = CliRunner().invoke(web, ["password"], input="tawny owl\n")
    assert done.exit_code == 0
    assert "tawny" not in done.output
    loaded = load(written(tmp_path, done.stdout), {}).config.web
    assert loaded is not None
    assert loaded.password is not None
    made = loaded.password.get_secret_value()
    assert fits("tawny owl", made)
    assert not fits("tawny owl ", made)


def test_a_short_password_is_none() -> None:
    with pytest.raises(UserError, match="8 characters"):
        CliRunner().invoke(web, ["password"], input="owl\n", catch_exceptions=False)


def test_the_token_opens_and_only_its_hash_goes_into_the_config(tmp_path: Path) -> None:
    done = CliRunner().invoke(web, ["token", "home-assistant"])
    token = done.stdout.strip()
    assert token.startswith("birdwatchd_")
    lines = done.stderr.partition("reload birdwatchd:\n")[2]
    assert token not in lines
    assert yaml.safe_load(lines) == {"tokens": {"home-assistant": sha256(token.encode()).hexdigest()}}
    assert load(written(tmp_path, lines), {}).config.web is not None


def test_a_token_has_a_name() -> None:
    with pytest.raises(UserError, match="no name for a token"):
        CliRunner().invoke(web, ["token", "a b"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("more", "address", "said"),
    [
        ("", "192.168.1.5", "config.yaml:4: web.address: everybody who can reach this address"),
        ("  password: tawny owl\n", "127.0.0.1", "config.yaml:5: web.password: must be the line that"),
        (
            "  tokens: {home: secret}\n",
            "127.0.0.1",
            "config.yaml:5: web.tokens.home: must be the 64 hex digits",
        ),
        ("  prefix: birds/\n", "127.0.0.1", "config.yaml:5: web.prefix: must be a path such as /birds"),
        (
            "  public_url: ftp://birds.example\n",
            "127.0.0.1",
            "config.yaml:5: web.public_url: must be an address such as https://birds.example.org/garden",
        ),
        (
            "  public_url: 'http://birds.example:x'\n",
            "127.0.0.1",
            "config.yaml:5: web.public_url: must be an",
        ),
        ("  public_url: 'https://a.example/?q=1'\n", "127.0.0.1", "without what begins with ? or #"),
        ("  public_url: https://me:tawny@a.example\n", "127.0.0.1", "without user and password"),
        (
            "  public_url: https://a.example/birds\n",
            "127.0.0.1",
            "config.yaml:5: web.public_url: its path has to be that of web.prefix, which is left out",
        ),
        (
            "  proxies: [nginx]\n",
            "127.0.0.1",
            "config.yaml:5: web.proxies[0]: must be an IP address, or a network",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, more: str, address: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path, more, address), {})
    assert said in str(refused.value)
    assert "tawny" not in str(refused.value)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "'::1'"])
def test_this_machine_alone_needs_no_password(tmp_path: Path, address: str) -> None:
    assert load(written(tmp_path, "", address), {}).config.web is not None


def test_check_tries_whether_the_page_could_be_shown(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = tmp_path / "config.yaml"
        path.write_text(
            "sources: [{name: garden, kind: microphone}]\n"
            f"store: {{database: {tmp_path}/birds.sqlite}}\nweb: {{port: {port}}}\n"
        )

        def found() -> list[Found]:
            loaded = load(path, {})
            return [one for trial in trials(loaded) if trial.what == "page" for one in trial.find()]

        (wrong,) = found()
        assert (wrong.verdict, "is taken by another program" in wrong.words) == ("wrong", True)
    (well,) = found()
    assert (well.verdict, well.words) == ("ok", f"127.0.0.1:{port} is free")


def test_check_says_where_the_page_is_and_for_whom(tmp_path: Path) -> None:
    made = CliRunner().invoke(web, ["password"], input="tawny owl\n").stdout
    said = CliRunner().invoke(check, ["-c", str(written(tmp_path, made))]).output
    assert "http://192.168.1.5:8080/ for all who can reach it, with a password" in said
    said = CliRunner().invoke(check, ["-c", str(written(tmp_path, "", "127.0.0.1"))]).output
    assert "http://127.0.0.1:8080/ for this machine alone, without a password" in said
