"""A verification while somebody speaks: audio in, a running answer out, and the decision as soon as enough was said.

→ {"format": "pcm_s16le", "sample_rate_hz": 16000}      text, first
→ audio                                                 binary, as it comes
← {"type": "running", "llr": 1.9, "speech_s": 1.2, …}   text, each time the recording was heard anew
→ {"end": true}                                         text, where nothing more comes
← {"type": "final", "verification": {…}}                text, last; or {"type": "problem", "problem": {…}}
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Path, WebSocket, WebSocketDisconnect
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocketState

from app.access import Caller
from app.api import rounding
from app.api.guard import STATE_CALLER, SUBPROTOCOL, guarded
from app.api.openapi import needs
from app.api.problems import told_to
from app.api.requests import SpeakerId
from app.api.schemas import Running, StreamFinal, VerificationAnswer
from app.api.service import Service
from app.api.stream_audio import StreamedAudio, StreamStart
from app.errors import ModelNotReady, Overloaded
from app.usecases.verify_stream import StreamLook
from model.decision import OperatingPoint
from model.errors import AudioError, InvalidArgument

router = APIRouter()

LOOK_EVERY_S = 0.5
"""Of new audio. Nobody notices half a second, and looks at the whole recording cost more than listening to its end once."""
SILENT_S = 10.0
"""Without a message: the caller has hung up."""
POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011


class Left(Exception):
    """The caller went away."""


@router.websocket("/v1/speakers/{speaker_id}/verify/stream")
@guarded(needs("verify"))
async def verify_stream(websocket: WebSocket, speaker_id: Annotated[SpeakerId, Path()]) -> None:
    caller: Caller = websocket.scope["state"][STATE_CALLER]
    request_id: str = websocket.scope["state"]["request_id"]
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in websocket.scope.get("subprotocols", []) else None)
    service = getattr(websocket.app.state, "service", None)
    outcome = "left"
    try:
        if not isinstance(service, Service):
            raise ModelNotReady("The service is starting or stopping.")
        final = await _Stream(websocket, service, caller, speaker_id).run()
        outcome = final.result.decision.outcome
        websocket.app.state.metrics.voice.count_verification("verify", final.result)
        answer = VerificationAnswer.of(rounding.verification(final.result, caller), service.facts, request_id)
        await _say(websocket, StreamFinal(type="final", verification=answer).model_dump_json())
        await websocket.close()
    except (Left, WebSocketDisconnect):
        pass
    except Exception as error:
        problem = told_to(error, request_id)
        outcome = str(problem["code"])
        with suppress(Left):
            await _say(websocket, json.dumps({"type": "problem", "problem": problem}))
            await websocket.close(INTERNAL_ERROR if problem["status"] >= 500 else POLICY_VIOLATION)
    finally:
        if isinstance(service, Service):
            # Not on a thread: where the service stops, this task may wait for nothing any more. It is one short write.
            service.use_cases.verify_stream.ended(caller.tenant, speaker_id, outcome)


class _Stream:
    """One caller's recording. It is heard anew on a worker while more of it comes in, one look at a time."""

    def __init__(self, websocket: WebSocket, service: Service, caller: Caller, speaker_id: str) -> None:
        self._websocket = websocket
        self._service = service
        self._caller = caller
        self._speaker_id = speaker_id
        self._look: asyncio.Task[StreamLook | None] | None = None
        self._looked_at = 0.0  # seconds of sound, or bytes of a file

    async def run(self) -> StreamLook:
        """The final look. Raises VouchError, or Left."""
        start = _parsed_start(await self._text())
        use_case = self._service.use_cases.verify_stream
        point = await run_in_threadpool(use_case.begin, self._caller.tenant, self._speaker_id, start.operating_point)
        limits = self._service.upload_limits
        with self._service.upload_memory.lease() as lease:
            audio = StreamedAudio(start, lease, limits.max_file_bytes, limits.max_audio_s)
            try:
                final = await self._until_enough(audio, point)
                return final if final is not None else await self._looked(audio.file(), point, is_last=True)
            finally:
                if self._look is not None:
                    self._look.cancel()

    async def _until_enough(self, audio: StreamedAudio, point: OperatingPoint) -> StreamLook | None:
        """The first look that is final, or None where the recording ends before there is one."""
        message = asyncio.ensure_future(self._message())
        try:
            while True:
                waited_for = {message} | ({self._look} if self._look is not None else set())
                await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
                if self._look is not None and self._look.done():
                    look, self._look = self._look.result(), None
                    if look is not None and look.is_final:
                        return look
                    if look is not None:
                        await self._tell(look)
                if message.done():
                    if (data := message.result()) is None:
                        return await self._ended_look()
                    audio.add(data)
                    message = asyncio.ensure_future(self._message())
                if self._look is None and self._is_due(audio):
                    self._look = asyncio.ensure_future(self._tried(audio.file(), point))
        finally:
            message.cancel()

    async def _ended_look(self) -> StreamLook | None:
        """The one that was under way as the recording ended, where it was final."""
        look = None if self._look is None else await self._look
        self._look = None
        return look if look is not None and look.is_final else None

    def _is_due(self, audio: StreamedAudio) -> bool:
        # A file comes in pieces of about that length.
        so_far, least = (audio.n_bytes, 1) if audio.duration_s is None else (audio.duration_s, LOOK_EVERY_S)
        is_due = so_far - self._looked_at >= least
        if is_due:
            self._looked_at = so_far
        return is_due

    async def _tried(self, data: bytes, point: OperatingPoint) -> StreamLook | None:
        """None where the part so far cannot be heard by itself, or no worker is free: the next one will do."""
        try:
            return await self._looked(data, point, is_last=False)
        except (AudioError, Overloaded):
            return None

    async def _looked(self, data: bytes, point: OperatingPoint, *, is_last: bool) -> StreamLook:
        look = self._service.use_cases.verify_stream.look
        tenant, speaker_id = self._caller.tenant, self._speaker_id
        return await self._service.work.run(lambda: look(tenant, speaker_id, data, point, is_last=is_last))

    async def _tell(self, look: StreamLook) -> None:
        await _say(self._websocket, Running.of(rounding.verification(look.result, self._caller)).model_dump_json())

    async def _text(self) -> str:
        message = await self._received()
        text = None if message is None else message.get("text")
        if text is None:
            raise InvalidArgument(
                'The first message must be text, such as {"format": "pcm_s16le", "sample_rate_hz": 16000}.'
            )
        return str(text)

    async def _message(self) -> bytes | None:
        """Audio, or None at its end: where the caller says so, or nothing comes any more."""
        message = await self._received()
        if message is None:
            return None
        if message.get("bytes") is not None:
            return bytes(message["bytes"])
        if _says_end(message.get("text")):
            return None
        raise InvalidArgument('After the first message, text is {"end": true}, and audio comes in binary messages.')

    async def _received(self) -> dict[str, Any] | None:
        """Raises Left. None where nothing came for long."""
        try:
            message = await asyncio.wait_for(self._websocket.receive(), SILENT_S)
        except TimeoutError:
            return None
        if message["type"] == "websocket.disconnect":
            raise Left
        return dict(message)


def _parsed_start(text: str) -> StreamStart:
    try:
        return StreamStart.model_validate_json(text)
    except ValidationError as error:
        found = " ".join(f"{'.'.join(map(str, one['loc'])) or 'message'}: {one['msg']}." for one in error.errors())
        raise InvalidArgument(found) from error


def _says_end(text: str | None) -> bool:
    try:
        return bool(json.loads(text or "") == {"end": True})
    except ValueError:
        return False


async def _say(websocket: WebSocket, text: str) -> None:
    """Raises Left."""
    if websocket.client_state is not WebSocketState.CONNECTED:
        raise Left
    try:
        await websocket.send_text(text)
    except (RuntimeError, WebSocketDisconnect) as error:
        raise Left from error
