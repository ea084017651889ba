"""What the code of a bundle may not ask for: files of this machine, and other machines.

TorchScript is a program in a small language, not data: it may call any operator that torch has. Nearly all of them only
compute; these reach further, and no model needs them. Loading may already run some of the code, so it is read before.
It does not make a bundle harmless: SECURITY.md says what is left.
"""

from __future__ import annotations

import re

FURTHER = ("save", "from_file", "load_tensor", "rpc_sync", "rpc_async", "rpc_remote")
"""`aten::save` writes a file, `aten::from_file` maps one, also for writing; the others load, and call other machines."""
_CALLED = re.compile(rb"\.\s*(%b)\b|[\"'](%b)[\"']" % (("|".join(FURTHER).encode(),) * 2))
_HIDDEN = re.compile(rb"\\[xuU0-7]")
"""A name in a text may be spelt so, as `getattr` takes one."""


def reaches_further(code: bytes) -> str:
    """What a file of TorchScript's code asks for that it must not; empty when there is nothing."""
    called = _CALLED.search(code)
    if called is not None:
        return f"calls {(called[1] or called[2]).decode()}"
    return "spells out signs that may hide a name" if b"getattr" in code and _HIDDEN.search(code) else ""
