"""A file whose name, and a label whose words, would act on the terminal: they are spelt out there."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from rich.table import Table

from birdwatchd.cli.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "a\x1b]0;owned\x07\x1b[2Jb"


def test_strings_are_spelt_out_and_colours_stay() -> None:
    file = io.StringIO()
    screen = Terminal(file=file, force_terminal=True, color_system="standard", highlight=False, width=100)
    table = Table(EVIL, box=None)
    table.add_row(EVIL)
    screen.print(EVIL)
    screen.print(table)
    screen.print("[red]red[/]")
    said = file.getvalue()
    assert said.count("a\\x1b]0;owned\\x07\\x1b[2Jb") == 3
    assert "\x1b]" not in said
    assert "\x1b[2J" not in said
    assert "\x1b[31mred" in said


@pytest.mark.parametrize(
    "words",
    [
        ("-m", "birdwatchd", "analyze", "--model", "{bundle}", "{folder}"),
        ("-m", "train", "list", "{folder}", "-o", "{folder}.csv"),
    ],
)
def test_a_hostile_name_of_a_file_is_told_harmlessly(
    tmp_path: Path, tiny_bundle: Path, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "card" / "birds"
    folder.mkdir(parents=True)
    for name in (EVIL, "c"):
        (folder / f"{name}.wav").write_bytes(b"no sound at all")
    filled = [word.format(bundle=tiny_bundle, folder=tmp_path / "card") for word in words]
    done = subprocess.run([sys.executable, *filled], capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout + done.stderr
    assert "\\x1b[2Jb.wav" in said
    assert "\x1b" not in said
    assert "Traceback" not in said
