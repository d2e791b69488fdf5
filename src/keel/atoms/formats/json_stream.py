"""JSON of any size, member by member."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from keel.errors import DataError

LONGEST_STRING = 1 << 20


def json_members(stream: IO[bytes], path: Path, chunk: int = 1 << 20) -> Iterator[tuple[str, Any]]:
    """Yield key and value of a JSON object one by one: a file of many gigabytes never stands in memory as a whole."""
    text, decoder = _Text(stream, path, chunk), json.JSONDecoder()
    if text.character() != "{":
        raise DataError(f"{path}: this JSON file is not an object of materials as MPtrj's is")
    if text.character(peek=True) == "}":
        return
    while True:
        key = text.decode(decoder)
        if not isinstance(key, str) or text.character() != ":":
            raise DataError(f"{path}: the JSON is damaged near the key {str(key)[:40]!r}")
        yield key, text.decode(decoder)
        separator = text.character()
        if separator == "}":
            return
        if separator != ",":
            raise DataError(f"{path}: the JSON is damaged after {key!r}")


class _Text:
    """The unread part of a JSON text."""

    def __init__(self, stream: IO[bytes], path: Path, chunk: int) -> None:
        self.stream, self.path, self.chunk, self.text = stream, path, chunk, ""

    def more(self) -> bool:
        """Read as much again as is waiting, so that a long value costs linear time."""
        block = self.stream.read(max(self.chunk, len(self.text)))
        # A character cut in two at the end of a block is completed byte by byte.
        for _ in range(4):
            try:
                self.text += block.decode("utf-8")
                return bool(block)
            except UnicodeDecodeError:
                block += self.stream.read(1)
        raise DataError(f"{self.path}: it is not UTF-8 text")

    def character(self, *, peek: bool = False) -> str:
        while not (rest := self.text.lstrip()):
            if not self.more():
                raise DataError(f"{self.path}: the JSON ends too early; the file is cut off")
        self.text = rest if peek else rest[1:]
        return rest[0]

    def decode(self, decoder: json.JSONDecoder) -> Any:
        self.character(peek=True)
        while True:
            try:
                value, end = decoder.raw_decode(self.text)
            except RecursionError:
                raise DataError(f"{self.path}: the JSON is nested too deeply; it is no file of structures") from None
            except json.JSONDecodeError as error:
                # Only a string can be incomplete and yet begin long before the end of what was read.
                hopeless = error.pos + LONGEST_STRING < len(self.text)
                if hopeless or not self.more():
                    raise DataError(f"{self.path}: the JSON is damaged or cut off ({error})") from None
                continue
            # A number at the very end may have more digits to come.
            if end < len(self.text) or not self.more():
                self.text = self.text[end:]
                return value
