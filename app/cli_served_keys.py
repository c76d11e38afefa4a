"""The API keys of a running service, by its client."""

from __future__ import annotations

from app.api.key_schema import KeyAnswer, KeyIn, KeyList, MadeKeyAnswer, RotationIn
from app.cli_client import errors_of_here
from vouch_client import Vouch


class ServedKeys:
    """Fulfils `app.cli_keys.Keys`."""

    def __init__(self, vouch: Vouch) -> None:
        self._vouch = vouch

    def create(self, body: KeyIn) -> MadeKeyAnswer:
        expires_at = None if body.expires_at is None else body.expires_at.isoformat()
        with errors_of_here():
            made = self._vouch.create_key(
                name=body.name, tenant=body.tenant, scopes=list(body.scopes), expires_at=expires_at
            )
        return MadeKeyAnswer.model_validate(made)

    def list(self) -> KeyList:
        with errors_of_here():
            return KeyList(keys=[KeyAnswer.model_validate(key) for key in self._vouch.api_keys()])

    def revoke(self, key_id: str) -> None:
        with errors_of_here():
            self._vouch.revoke_key(key_id)

    def rotate(self, key_id: str, body: RotationIn) -> MadeKeyAnswer:
        with errors_of_here():
            return MadeKeyAnswer.model_validate(self._vouch.rotate_key(key_id, body.overlap_s))
