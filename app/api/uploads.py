"""Reads multipart uploads into memory, every limit enforced while the bytes arrive.

Voices never touch the disk on their way in, and a body that is not what the call takes is refused at the first byte
that shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.api.forms import Form, FormShape
from app.errors import Overloaded
from app.settings import N_BYTES_PER_MB, Settings
from model.errors import AudioTooLarge, CorruptAudio, InvalidArgument

MAX_TEXT_BYTES = 1024


@dataclass(frozen=True)
class UploadLimits:
    max_file_bytes: int
    max_clips: int
    """Most files in a field that may be repeated."""
    max_audio_s: float

    @classmethod
    def of(cls, settings: Settings) -> UploadLimits:
        return cls(settings.max_upload_bytes, settings.max_clips, settings.max_audio_s)


class UploadMemory:
    """What all requests together may hold of uploads. Used on the event loop only, so it needs no lock."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0

    @contextmanager
    def lease(self) -> Iterator[UploadLease]:
        """For as long as one request lives."""
        lease = UploadLease(self)
        try:
            yield lease
        finally:
            self._n_bytes -= lease.n_bytes

    def take(self, n_bytes: int) -> None:
        """Raises Overloaded rather than let memory grow."""
        if self._n_bytes + n_bytes > self._max_bytes:
            raise Overloaded(
                f"Uploads in flight fill the {self._max_bytes // N_BYTES_PER_MB} MiB they may (VOUCH_UPLOAD_MEMORY_MB). "
                "Try again shortly."
            )
        self._n_bytes += n_bytes


class UploadLease:
    def __init__(self, memory: UploadMemory) -> None:
        self._memory = memory
        self.n_bytes = 0

    def take(self, n_bytes: int) -> None:
        self._memory.take(n_bytes)
        self.n_bytes += n_bytes


async def read_form(request: Request, shape: FormShape, limits: UploadLimits, lease: UploadLease) -> Form:
    """The whole form. Raises InvalidArgument, AudioTooLarge, CorruptAudio (an empty file) or Overloaded."""
    reader = _FormReader(shape, limits, request.headers.get("content-length"))
    boundary = _boundary(request)
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                lease.take(len(chunk))
                parser.write(chunk)
    except FormParserError as error:
        raise InvalidArgument(f"The body is not valid multipart/form-data: {error}.") from error
    return reader.form()


def _boundary(request: Request) -> bytes:
    content_type = request.headers.get("content-type", "")
    media_type, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not boundary:
        sent = repr(content_type[:100]) if content_type else "missing"
        raise InvalidArgument(
            f"The Content-Type is {sent}; this call takes multipart/form-data with a boundary, as `curl -F` sends it."
        )
    return boundary


class _FormReader:
    """The parser's callbacks. One part is open at a time; its checks come before its bytes are kept."""

    def __init__(self, shape: FormShape, limits: UploadLimits, content_length: str | None) -> None:
        self._shape = shape
        self._limits = limits
        self._content_length = content_length
        self._files: dict[str, list[bytes]] = {}
        self._texts: dict[str, str] = {}
        self._header_name = b""
        self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._is_file = False
        self._data = bytearray()
        self._has_ended = False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def form(self) -> Form:
        if not self._has_ended:
            raise InvalidArgument("The body ends before its closing boundary; it was cut short. Send it again.")
        for file in self._shape.files:
            if file.name not in self._files:
                raise InvalidArgument(
                    f"The file field {file.name!r} is missing; this call takes: {self._shape.names()}."
                )
        return Form({name: tuple(files) for name, files in self._files.items()}, self._texts)

    def _on_part_begin(self) -> None:
        self._headers = {}
        self._data = bytearray()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        # Some clients send a file without a file name, but then with its type.
        self._is_file = b"filename" in options or b"content-type" in self._headers
        file, text = self._shape.file(self._name), self._shape.text(self._name)
        if file is None and text is None:
            raise InvalidArgument(
                f"There is no field {self._name[:80]!r} here; this call takes: {self._shape.names()}."
            )
        if file is not None:
            self._check_file(file.name, self._limits.max_clips if file.is_repeatable else 1)
        elif b"filename" in options:
            raise InvalidArgument(f"The field {self._name!r} is text, and a file was sent.")
        elif self._name in self._texts:
            raise InvalidArgument(f"The field {self._name!r} was sent twice; once is enough.")
        self._is_file = file is not None

    def _check_file(self, name: str, max_count: int) -> None:
        if not self._is_file:
            raise InvalidArgument(
                f"The field {name!r} must be a file, and text was sent; with curl: -F {name}=@clip.wav."
            )
        n_sent = len(self._files.get(name, [])) + 1
        if n_sent > max_count:
            raise InvalidArgument(f"The field {name!r} holds {n_sent} files or more; at most {max_count} is allowed.")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        size = len(self._data) + end - start
        if not self._is_file and size > MAX_TEXT_BYTES:
            raise InvalidArgument(f"The field {self._name!r} is longer than {MAX_TEXT_BYTES} bytes.")
        if self._is_file and size > self._limits.max_file_bytes:
            raise AudioTooLarge(self._too_large(size))
        self._data += data[start:end]

    def _too_large(self, size: int) -> str:
        length = self._content_length
        actual = f"the request holds {length} bytes" if length else f"{size} bytes had come, and there were more"
        return (
            f"{self._name} is larger than {self._limits.max_file_bytes / N_BYTES_PER_MB:g} MiB "
            f"(VOUCH_MAX_UPLOAD_MB); {actual}. Send a shorter or a compressed recording."
        )

    def _on_part_end(self) -> None:
        if not self._is_file:
            try:
                self._texts[self._name] = self._data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InvalidArgument(f"The field {self._name!r} is not text in UTF-8.") from error
            return
        if not self._data:
            raise CorruptAudio(f"{self._name}: the file is empty (0 bytes). Send a recording.")
        self._files.setdefault(self._name, []).append(bytes(self._data))
        self._data = bytearray()

    def _on_end(self) -> None:
        self._has_ended = True
