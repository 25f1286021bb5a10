"""The command line: one function a command, over the engine's verbs and the reads of the books.

Owns: arguments, exit codes, what is printed where. Does not own: arithmetic, decisions, how tables are drawn.
"""

from apportion.faces.cli.program import main

__all__ = ["main"]
