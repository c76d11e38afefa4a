"""Whether the service was told to stop: it then still serves, and asks for no more."""

from __future__ import annotations

STATE_DRAIN = "drain"
"""Where the state that the app's lifespan gives its server holds the Drain."""


class Drain:
    """Begun from a signal's handler, which may interrupt itself: so it is a plain flag, and no lock."""

    def __init__(self) -> None:
        self.has_begun = False

    def begin(self) -> None:
        self.has_begun = True
