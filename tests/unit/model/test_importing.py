"""How torch is imported: by the daemon, and by the server of `analyze`."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING

from birdwatchd.model.importing import importing_torch

if TYPE_CHECKING:
    from pathlib import Path

WATCHED = """
import gc, sys
from pathlib import Path
from birdwatchd.model.classifier import Classifier
ran = []
gc.callbacks.append(lambda phase, _: ran.append(phase) if gc.isenabled() and phase == "start" else None)
class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            ran.clear()
        elif name == "birdwatchd.model.network":
            print(gc.isenabled(), len(ran))
sys.meta_path.insert(0, Watch())
"""


def test_the_collector_rests_while_the_daemon_imports_it(tiny_bundle: Path) -> None:
    load = f"Classifier.load(Path({str(tiny_bundle)!r}), device='cpu').close()\nprint(gc.isenabled(), gc.get_freeze_count() > 0)"
    assert said(WATCHED + load) == ["False 0", "True True"]


def test_the_collector_rests_while_the_server_of_analyze_imports_it() -> None:
    load = "import birdwatchd.analysis.preloaded\nprint(gc.isenabled(), gc.get_freeze_count() > 0)"
    assert said(WATCHED + load) == ["False 0", "True True"]


def said(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.splitlines()


def test_a_model_that_is_exchanged_later_is_not_kept_from_being_collected() -> None:
    import torch  # noqa: F401

    frozen = gc.get_freeze_count()
    with importing_torch():
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
