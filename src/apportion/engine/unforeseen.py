"""What a decision foresees when it says nothing else: rare commands ask the working set for what they need."""

from __future__ import annotations

from apportion.ports import Key


class Unforeseen:
    """A decision for which nothing is read ahead."""

    def keys(self) -> tuple[Key, ...]:
        """Dedup keys to look up."""
        return ()

    def people(self) -> list[str]:
        """Names of payers to look up."""
        return []

    def charts(self) -> list[str]:
        """Chart keys of the accounts that will surely be touched."""
        return []
