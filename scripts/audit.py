"""Asks PyPI whether anything in constraints.txt has a known vulnerability. Used by scripts/check.

    .venv/bin/python scripts/audit.py [--index URL] [--seconds N] [FILE]

Exit status: 0 when nothing is known, or when it could not be asked, which is said in one line (a mirror has no such
answers, and a build without a network is no fault); 1 when something is known. PyPI tells what the Python Packaging
Advisory Database and OSV know (https://docs.pypi.org/api/json/#known-vulnerabilities), as pip-audit reads it too; but to
pip-audit a package that an index knows nothing of is one without vulnerabilities.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
PYPI = "https://pypi.org"
SECONDS = 30.0
AT_ONCE = 16
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)\s*(?:;.*|#.*)?$")
WEAK = "pyyaml/5.3"
"""Known to be weak (CVE-2020-1747): an index that does not know that, such as a mirror, knows nothing of others either."""
ACCEPTED: dict[str, str] = {}
"""Vulnerabilities that do not concern birdwatchd: id, and why."""


class Unasked(Exception):  # noqa: N818 - it says what happened
    """Nobody could be asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Known:
    """A vulnerability of a pinned package."""

    package: str
    version: str
    identity: str
    fixed_in: str
    summary: str


def pins(text: str) -> list[tuple[str, str]]:
    """Name and version of every pinned package."""
    found = (PIN.match(line.strip()) for line in text.splitlines())
    return [(match[1], match[2]) for match in found if match]


async def audit(wanted: list[tuple[str, str]], index: str, seconds: float) -> list[Known]:
    """What is known of them.

    Raises:
        Unasked: the index does not answer in time, or not as PyPI does.
    """
    try:
        async with asyncio.timeout(seconds):
            limits = httpx.Limits(max_connections=AT_ONCE)
            async with httpx.AsyncClient(base_url=index, timeout=seconds / 3, limits=limits) as client:
                if not (await _ask(client, WEAK)).get("vulnerabilities"):
                    raise Unasked(f"{index} does not tell of vulnerabilities")
                answers = await asyncio.gather(
                    *(_ask(client, f"{name}/{version}") for name, version in wanted)
                )
    except TimeoutError:
        raise Unasked(f"{index} has not answered within {seconds:g} s") from None
    except httpx.HTTPError as error:
        raise Unasked(f"{index} cannot be asked ({type(error).__name__})") from None
    return [
        Known(name, version, one["id"], ", ".join(one.get("fixed_in") or ()), one.get("summary") or "")
        for (name, version), answer in zip(wanted, answers, strict=True)
        for one in answer.get("vulnerabilities", ())
        if not one.get("withdrawn") and one["id"] not in ACCEPTED
    ]


async def _ask(client: httpx.AsyncClient, what: str) -> dict[str, Any]:
    response = await client.get(f"/pypi/{what}/json", follow_redirects=True)
    if response.status_code == httpx.codes.NOT_FOUND:
        return {}  # a package from elsewhere
    response.raise_for_status()
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def main() -> None:
    """Ask, and say what is known."""
    parser = argparse.ArgumentParser(description="Known vulnerabilities of the pinned packages.")
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "constraints.txt")
    parser.add_argument("--index", default=PYPI)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long it may take in all")
    options = parser.parse_args()
    wanted = pins(options.file.read_text(encoding="utf-8"))
    try:
        known = asyncio.run(audit(wanted, options.index, options.seconds))
    except Unasked as why:
        print(f"known vulnerabilities: skipped, {why}")
        return
    for one in known:
        mended = f"mended in {one.fixed_in}" if one.fixed_in else "not mended yet"
        print(
            f"{one.package}=={one.version}: {one.identity} ({mended}) {' '.join(one.summary.split())[:120]}"
        )
    print(f"known vulnerabilities: {len(known)} in {len(wanted)} pinned packages")
    sys.exit(bool(known))


if __name__ == "__main__":
    main()
