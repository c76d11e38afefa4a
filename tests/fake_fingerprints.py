"""FingerprintStore in memory, held to the adapter's own contract tests."""

from __future__ import annotations

from model.fingerprint import Fingerprint


class FakeFingerprints:
    """Fulfils `app.ports.FingerprintStore`. The store that it belongs to says who is there."""

    def __init__(self, n_kept: int) -> None:
        self._n_kept = n_kept
        self._enrolled: dict[int, dict[str, Fingerprint]] = {}
        self._heard: dict[int, list[Fingerprint]] = {}

    def of_speaker(self, number: int) -> tuple[Fingerprint, ...]:
        if not self._n_kept:
            return ()
        return (*self._enrolled.get(number, {}).values(), *self._heard.get(number, []))

    def remember(self, number: int, words: Fingerprint) -> None:
        if self._n_kept and number in self._enrolled:
            heard = self._heard.setdefault(number, [])
            heard.append(words.copy())
            del heard[: -self._n_kept]

    def add_speaker(self, number: int) -> None:
        self._enrolled[number] = {}

    def add_enrolled(self, number: int, enrollment_id: str, words: Fingerprint | None) -> None:
        if self._n_kept and words is not None:
            self._enrolled[number][enrollment_id] = words.copy()

    def remove_enrolled(self, number: int, enrollment_id: str) -> None:
        self._enrolled[number].pop(enrollment_id, None)

    def forget(self, number: int) -> None:
        del self._enrolled[number]
        self._heard.pop(number, None)
