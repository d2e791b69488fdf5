"""JSON of any size, member by member."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO, Any

from keel.errors import DataError

LONGEST_STRING = 1 << 20


class JsonText:
    """The unread part of a JSON text."""

    def __init__(self, stream: IO[bytes], path: Path, chunk: int = 1 << 20) -> None:
        self.stream, self.path, self.chunk, self.text = stream, path, chunk, ""
        self.decoder = json.JSONDecoder()

    def ended(self) -> bool:
        """Return whether nothing more comes."""
        while not self.text.strip():
            if not self._more():
                return True
        return False

    def members(self) -> Iterator[tuple[str, Any]]:
        """Yield the members of the object or list that comes next.

        Raises
        ------
        DataError
            If neither comes, or it is damaged or cut off.
        """
        bracket = self._character()
        if bracket not in "{[":
            raise DataError(f"{self.path}: this JSON file is neither an object nor a list of structures")
        end = "}" if bracket == "{" else "]"
        if self._character(peek=True) == end:
            self._character()
            return
        for number in count():
            key = self._key() if bracket == "{" else str(number)
            yield key, self._value()
            separator = self._character()
            if separator == end:
                return
            if separator != ",":
                raise DataError(f"{self.path}: the JSON is damaged after {key!r}")

    def _key(self) -> str:
        key = self._value()
        if not isinstance(key, str) or self._character() != ":":
            raise DataError(f"{self.path}: the JSON is damaged near the key {str(key)[:40]!r}")
        return key

    def _more(self) -> bool:
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

    def _character(self, *, peek: bool = False) -> str:
        while not (rest := self.text.lstrip()):
            if not self._more():
                raise DataError(f"{self.path}: the JSON ends too early; the file is cut off")
        self.text = rest if peek else rest[1:]
        return rest[0]

    def _value(self) -> Any:
        self._character(peek=True)
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text)
            except RecursionError:
                raise DataError(f"{self.path}: the JSON is nested too deeply for a file of structures") from None
            except json.JSONDecodeError as error:
                # Only a string can be incomplete and yet begin long before the end of what was read.
                hopeless = error.pos + LONGEST_STRING < len(self.text)
                if hopeless or not self._more():
                    raise DataError(f"{self.path}: the JSON is damaged or cut off ({error})") from None
                continue
            # A number at the very end may have more digits to come.
            if end < len(self.text) or not self._more():
                self.text = self.text[end:]
                return value
