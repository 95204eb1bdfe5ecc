"""JSON that may come from anyone: size, encoding, depth, types and ranges are checked.

`parse` turns bytes into values, `Fields` reads an object's fields by type. Every manifest and every
file of an agent's own state is read with both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from typing import Any, ClassVar, TypeVar, cast

from tfplus.errors import DamagedFileError, TfplusError

MAX_INTEGER = 2**63 - 1
Self = TypeVar("Self", bound="Fields")
# Far more than any file of ours has, far less than what a recursive reader can take.
MAX_DEPTH = 64

_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def parse(content: bytes) -> Any:
    """Reads JSON in UTF-8.

    Raises:
      DamagedFileError: it is something else, or nests deeper than `MAX_DEPTH`.
    """
    if _is_too_deep(content):
        raise DamagedFileError(f"expected JSON of at most {MAX_DEPTH} levels, it nests deeper")
    try:
        value = json.loads(content.decode())
        if b"\\u" in content:
            # Half of a surrogate pair is JSON, but no text: printing it or sending it would fail.
            json.dumps(value, ensure_ascii=False).encode()
    except ValueError as error:
        raise DamagedFileError(f"expected JSON in UTF-8, got {shown(content)}: {error}") from None
    return value


def _is_too_deep(content: bytes) -> bool:
    # Only brackets outside of texts count. Up to the first error of the JSON, where reading stops,
    # quotes come in pairs, so that every other piece between them is outside.
    unescaped = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(unescaped.split(b'"')[::2])
    brackets = outside.translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if b"[]" not in brackets:
            break
        brackets = brackets.replace(b"[]", b"")
    # Brackets that never close are left, too: the reader says so, unless they are too many for it.
    return b"[]" in brackets or brackets.count(b"[") > MAX_DEPTH


class Fields:
    """A JSON object whose fields are read by type; errors name the path to the field.

    Args:
      raw: what `parse` returned, or a part of it.
      path: of that part; ends with a dot.
      document: what errors begin with; that of the class where none is given.

    Raises:
      TfplusError: of the class `error`, here and in every method: a field is missing, or of another
        type or range.
    """

    document: ClassVar[str] = ""
    error: ClassVar[type[TfplusError]] = DamagedFileError

    def __init__(self, raw: Any, path: str = "", document: str = "") -> None:
        self._path = path
        self._document = document or self.document
        if not isinstance(raw, dict):
            place = path.rstrip(".") or "the whole"
            raise self._error(place, f"expected an object, got {shown(raw)}")
        self._raw = cast("dict[str, Any]", raw)

    def __contains__(self, name: str) -> bool:
        return name in self._raw

    def wrong(self, name: str, expected: str, got: Any) -> TfplusError:
        """The error for a field of a wrong form."""
        return self._error(f"{self._path}{name}", f"expected {expected}, got {shown(got)}")

    def text(self, name: str) -> str:
        """A text."""
        return self._get(name, str, "a text")

    def text_or_none(self, name: str) -> str | None:
        """A text, or null; the field is there all the same."""
        return None if self.is_null(name) else self.text(name)

    def boolean(self, name: str) -> bool:
        """True or false."""
        return self._get(name, bool, "true or false")

    def integer(self, name: str, minimum: int = 0, maximum: int = MAX_INTEGER) -> int:
        """An integer of a range."""
        value = self._get(name, int, "an integer")
        if not minimum <= value <= maximum:
            most = f" and at most {maximum}" if maximum < MAX_INTEGER else ""
            raise self.wrong(name, f"an integer of at least {minimum}{most}", value)
        return value

    def integer_or_none(self, name: str, minimum: int = 0) -> int | None:
        """An integer, or null; the field is there all the same."""
        return None if self.is_null(name) else self.integer(name, minimum)

    def number(self, name: str) -> float:
        """A finite number."""
        value = self._get(name, (int, float), "a number")
        if not abs(value) <= sys.float_info.max:
            raise self.wrong(name, "a finite number", value)
        return float(value)

    def number_or_none(self, name: str) -> float | None:
        """A finite number, or null; the field is there all the same."""
        return None if self.is_null(name) else self.number(name)

    def mapping(self, name: str) -> dict[str, Any]:
        """An object, whatever is in it."""
        return self._get(name, dict, "an object")

    def scalars(self, name: str) -> dict[str, str | int | float | bool | None]:
        """An object of texts, finite numbers, truth values and nulls."""
        found = self.mapping(name)
        for value in found.values():
            is_text = value is None or isinstance(value, (bool, str))
            is_number = isinstance(value, (int, float)) and abs(value) <= sys.float_info.max
            if not (is_text or is_number):
                raise self.wrong(name, "texts, numbers, truth values and nulls", value)
        return found

    def text_mapping(self, name: str) -> dict[str, str]:
        """An object of texts."""
        found = self.object(name)
        return {n: found.text(n) for n in found._raw}

    def counts(self) -> dict[str, int]:
        """This object's members, all of them integers that are not negative."""
        return {n: self.integer(n) for n in self._raw}

    def object(self: Self, name: str) -> Self:
        """An object in this one."""
        return type(self)(self.mapping(name), f"{self._path}{name}.", self._document)

    def objects(self: Self, name: str) -> list[Self]:
        """A list of objects."""
        values = cast("list[Any]", self._get(name, list, "a list"))
        kind, path = type(self), f"{self._path}{name}"
        return [kind(v, f"{path}[{i}].", self._document) for i, v in enumerate(values)]

    def members(self: Self) -> list[tuple[str, Self]]:
        """This object's members, all of them objects, by name."""
        kind = type(self)
        return [(n, kind(v, f"{self._path}{n}.", self._document)) for n, v in self._raw.items()]

    def numbers(self, name: str, minimum: float) -> tuple[float, ...]:
        """A list of finite numbers."""
        values = cast("list[float]", self._all(name, (int, float), "numbers"))
        if any(not minimum <= v <= sys.float_info.max for v in values):
            raise self.wrong(name, f"finite numbers of at least {minimum:g}", values)
        return tuple(float(v) for v in values)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(cast("list[str]", self._all(name, str, "texts")))

    def integers(self, name: str, minimum: int | None = None) -> tuple[int, ...]:
        """A list of integers."""
        values = tuple(cast("list[int]", self._all(name, int, "integers")))
        least = -MAX_INTEGER if minimum is None else minimum
        if any(not least <= v <= MAX_INTEGER for v in values):
            raise self.wrong(name, f"integers from {least} to {MAX_INTEGER}", list(values))
        return values

    def choice(self, name: str, known: Collection[str]) -> str:
        """One of some texts."""
        value = self.text(name)
        if value not in known:
            raise self.wrong(name, f"one of {sorted(known)}", value)
        return value

    def is_null(self, name: str) -> bool:
        """Whether a field is there, and null."""
        return name in self._raw and self._raw[name] is None

    def _get(self, name: str, kind: type | tuple[type, ...], expected: str) -> Any:
        if name not in self._raw:
            raise self._error(f"{self._path}{name}", "is missing")
        value = self._raw[name]
        # In Python True is an int; in JSON it is not.
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise self.wrong(name, expected, value)
        return value

    def _all(self, name: str, kind: type | tuple[type, ...], expected: str) -> list[Any]:
        values = cast("list[Any]", self._get(name, list, f"a list of {expected}"))
        if not all(isinstance(v, kind) and not isinstance(v, bool) for v in values):
            raise self.wrong(name, f"a list of {expected}", values)
        return values

    def _error(self, place: str, what: str) -> TfplusError:
        start = f"{self._document}: " if self._document else ""
        between = " " if what == "is missing" else ": "
        return self.error(f"{start}{place}{between}{what}")


def shown(value: Any) -> str:
    """A value as it is shown in a message, cut off where it is long."""
    text = repr(value[:80] if isinstance(value, (str, bytes)) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
