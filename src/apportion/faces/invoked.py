"""How this program was called, so that the commands it prints work as printed."""

from __future__ import annotations

import os
import shutil
import sys

PROGRAM = __name__.partition(".")[0]


def program() -> str:
    """``apportion`` when the shell finds it, else the path by which it was called (``.venv/bin/apportion``)."""
    called = sys.argv[0]
    if os.path.basename(called) != PROGRAM:
        return "python -m apportion" if called.endswith(os.path.join(PROGRAM, "__main__.py")) else PROGRAM
    found = shutil.which(PROGRAM)
    if found is not None and os.path.exists(called) and os.path.samefile(found, called):
        return PROGRAM
    near = os.path.relpath(called)
    return near if len(near) < len(called) or not os.path.isabs(called) else called
