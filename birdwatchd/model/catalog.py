"""Where bundles lie, and how one is found by its name."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from birdwatchd.config.schema import data_folder
from birdwatchd.errors import BundleError

SUFFIX = ".pt"


def models_folder() -> Path:
    """The folder of bundles that are known by name."""
    return data_folder() / "models"


def bundles() -> list[Path]:
    """Every bundle in the models folder, by name."""
    return sorted(models_folder().glob(f"[!.]*{SUFFIX}"))


def find(bundle: str, sha256: str | None = None) -> Path:
    """The path of a bundle, given its name in the models folder or its path; and the hash that it has to have, if any.

    Raises:
        BundleError: there is no such bundle, or it is another file than that.
    """
    path = _find(bundle)
    if sha256 is None:
        return path
    from birdwatchd.model import birdnet_files

    try:
        found = birdnet_files.sha256(path)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read ({error.strerror or error}); mend that or build it again"
        ) from error
    if found != sha256.lower():
        raise BundleError(
            f"{path} is not the file that model.sha256 names: its sha-256 is {found}; get the right one, or write "
            "this hash there if you trust this one"
        )
    return path


def _find(bundle: str) -> Path:
    if os.sep in bundle or bundle.endswith(SUFFIX):
        path = Path(bundle).expanduser()
        if not path.is_file():
            raise BundleError(f"no model bundle at {path}; `birdwatchd model list` shows those there are")
        return path
    path = models_folder() / f"{bundle}{SUFFIX}"
    if path.is_file():
        return path
    missing = f"no model named {bundle!r} in {models_folder()}"
    if bundle == "birdnet":
        raise BundleError(f"{missing}; make it with `birdwatchd model build birdnet`")
    names = [known.stem for known in bundles()]
    close = difflib.get_close_matches(bundle, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names) or 'none'}"
    raise BundleError(f"{missing}; {hint} (`birdwatchd model build birdnet` makes the usual one)")
