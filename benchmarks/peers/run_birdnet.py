"""The BirdNET team's own library on a folder. Run by its own Python: run_birdnet.py FOLDER WORKERS OVERLAP_SECONDS."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Score every recording of the folder; prints how many rows came of it."""
    import birdnet

    folder, workers, overlap = sys.argv[1:]
    model = birdnet.load("acoustic", "2.4", "tf", library="litert")
    found = model.predict(
        sorted(Path(folder).glob("*.wav")),
        n_workers=int(workers),
        overlap_duration_s=float(overlap),
        default_confidence_threshold=0.1,
    )
    print(len(found.to_structured_array()))


if __name__ == "__main__":
    main()
