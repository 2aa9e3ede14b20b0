"""Texts that match a regular expression, for the usual ones: literals, classes, groups, choices, repeats.

What else expressions can say (look-arounds, back references, boundaries) has no text here; the caller asks
`re` whether a text matches before it uses one.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_WORD = string.ascii_lowercase + string.digits + "_"
_CLASSES = {
    "d": string.digits,
    "w": _WORD,
    "s": " ",
    "D": string.ascii_lowercase,
    "W": "-",
    "S": string.ascii_lowercase,
}
_ANY = string.ascii_letters + string.digits
#: A repeat without an upper end has so many more.
_MORE = 3
_MOST = 1000


def text_of_pattern(pattern: str, rng: Random) -> str:
    """A text made along `pattern`; one that may not match where the pattern says more than is known here."""
    return _Reader(pattern, rng).choice()


class _Reader:
    """Reads a pattern from left to right and writes a text that fits."""

    def __init__(self, pattern: str, rng: Random) -> None:
        self._pattern = pattern
        self._rng = rng
        self._at = 0

    def choice(self) -> str:
        """Alternatives up to the end or the closing bracket; one of them is taken."""
        found = [self._sequence()]
        while self._next("|"):
            found.append(self._sequence())
        return self._rng.choice(found)

    def _sequence(self) -> str:
        text = ""
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            start = self._at
            piece = self._piece()
            end = self._at
            low, high = self._repeat()
            times = self._rng.randint(low, high)
            after = self._at
            text += piece if times else ""
            for _ in range(times - 1):  # made anew, so that repeats differ
                self._at = start
                text += self._piece()
                self._at = end
            self._at = after
        return text

    def _piece(self) -> str:
        sign = self._take()
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._rng.choice(self._class() or _ANY)
        if sign == "\\":
            return self._escaped()
        if sign == ".":
            return self._rng.choice(_ANY)
        return "" if sign in "^$" else sign

    def _group(self) -> str:
        if self._next("?"):
            if self._next("P<"):
                self._at = max(self._pattern.find(">", self._at) + 1, self._at)
            else:
                self._next(":")
        text = self.choice()
        self._next(")")
        return text

    def _escaped(self) -> str:
        sign = self._take()
        if sign in "bBAZz":
            return ""
        return (
            self._rng.choice(_CLASSES[sign]) if sign in _CLASSES else {"n": "\n", "t": "\t"}.get(sign, sign)
        )

    def _class(self) -> str:
        """The signs that a class in brackets allows."""
        excludes = self._next("^")
        signs = ""
        is_first = True
        while self._at < len(self._pattern) and (is_first or self._pattern[self._at] != "]"):
            is_first = False
            sign = self._take()
            if sign == "\\":
                sign = self._take()
                signs += _CLASSES.get(sign, sign)
            elif (
                self._pattern[self._at : self._at + 1] == "-"
                and self._pattern[self._at + 1 : self._at + 2] != "]"
            ):
                self._take()
                signs += "".join(map(chr, range(ord(sign), ord(self._take() or sign) + 1)))
            else:
                signs += sign
        self._next("]")
        return "".join(sign for sign in _ANY if sign not in signs) if excludes else signs

    def _repeat(self) -> tuple[int, int]:
        low, high = 1, 1
        if self._next("?"):
            low, high = 0, 1
        elif self._next("*"):
            low, high = 0, _MORE
        elif self._next("+"):
            low, high = 1, 1 + _MORE
        elif self._pattern[self._at : self._at + 1] == "{":
            low, high = self._counted()
        self._next("?")
        return low, max(high, low)

    def _counted(self) -> tuple[int, int]:
        end = self._pattern.find("}", self._at)
        least, comma, most = self._pattern[self._at + 1 : end].partition(",")
        if end < 0 or not (least.isdigit() or (comma and most.isdigit())):
            return 1, 1  # a brace is a brace; `re` says so when the text is looked at
        self._at = end + 1
        low = min(int(least or 0), _MOST)
        return low, min(int(most), _MOST) if most.isdigit() else low + _MORE if comma else low

    def _take(self) -> str:
        sign = self._pattern[self._at : self._at + 1]
        self._at += 1
        return sign

    def _next(self, text: str) -> bool:
        """Whether `text` comes next; then it is read."""
        if not self._pattern.startswith(text, self._at):
            return False
        self._at += len(text)
        return True
