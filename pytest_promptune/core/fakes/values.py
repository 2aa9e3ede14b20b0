"""Values that a JSON schema allows, for models that are fake (LANGGRAPH 3, ``nodes --dry-run``).

What chooses a way through an app is visited in turn, value by value: enumerations, booleans, alternatives.
Everything else is drawn at random, within what the schema allows.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.fakes.patterns import text_of_pattern

if TYPE_CHECKING:
    from random import Random

Schema = Mapping[str, Any]

#: Objects within objects; below, what isn't required is left out.
_DEEPEST = 8
_MOST_ITEMS = 2
_LONGEST_SPAN = 100
_TRIES = 20
_WORDS = ("alpha", "bravo", "delta", "fake", "golf", "hotel", "lima", "november", "oscar", "tango")
_FORMATS: Mapping[str, str] = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T10:00:00Z",
    "time": "10:00:00Z",
    "duration": "PT1H",
    "email": "fake@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/fake",
    "url": "https://example.com/fake",
}
#: A word, or an article and one or two: more would be the sentence around it.
_OPTION = r"(?:\b(?:an?|the) [\w-]+(?: [\w-]+)?|[\w-]+)"
#: Options before the last; without an end, and from within words, a long list would take its square in time.
_SOME = "{0,50}"
_CHOICES = re.compile(
    rf"(?<![\w-])(?:{_OPTION}(?:, ?{_OPTION}){_SOME},? (?:or|and|\|) {_OPTION}|[\w-]+(?: ?\| ?[\w-]+)+)",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r", ?(?:or |and )?| (?:or|and|\|) | ?\| ?")
_MANY = 3


class Faker:
    """Makes values; the same seed and the same questions give the same answers."""

    def __init__(self, rng: Random) -> None:
        """Nothing was visited yet.

        Args:
            rng: of everything that is no choice.
        """
        self._rng = rng
        self._visits: Counter[str] = Counter()

    def value(self, schema: Schema, place: str) -> Any:
        """A value that `schema` allows, as far as a schema of structured output or of a tool says.

        Args:
            schema: JSON schema, with its ``$defs``.
            place: whose it is: choices are visited in turn for each place.
        """
        return _Making(self, self._rng, schema).value(schema, place, 0)

    def turn(self, place: str, options: Sequence[Any], *, shift: int = 0) -> Any:
        """The next of some options; with a shift, another one after each round, so that pairs differ."""
        visits = self._visits[place]
        self._visits[place] += 1
        return options[(visits + shift * (visits // len(options))) % len(options)]

    def text(self, prompts: Iterable[str], place: str) -> str:
        """An answer to prompts.

        JSON where one shows a schema, as LangChain's parsers ask for it; else one of the choices that the
        first of the prompts to name any names last; else some words.
        """
        prompts = list(prompts)
        for schema in filter(None, map(_schema_shown, prompts)):
            return json.dumps(self.value(schema, place), ensure_ascii=False)
        for prompt in prompts:
            for choice in reversed(_CHOICES.findall(prompt)):
                options = [word for word in _BETWEEN.split(choice) if word]
                if len(options) >= _MANY or set(map(str.lower, options)) == {"yes", "no"}:
                    return str(self.turn(place, options))
        return self.words(3)

    def words(self, number: int) -> str:
        """Some words."""
        return " ".join(self._rng.choice(_WORDS) for _ in range(number))


def _schema_shown(prompt: str) -> Schema | None:
    """The last JSON schema of an object that stands in a block of code."""
    for block in reversed(prompt.split("```")[1::2]):
        try:
            schema = json.loads(block.strip().removeprefix("json"))
        except ValueError:
            continue
        if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
            return schema
    return None


class _Making:
    """One value on its way."""

    def __init__(self, faker: Faker, rng: Random, root: Schema) -> None:
        self._faker = faker
        self._rng = rng
        self._root = root
        #: Choices made so far.
        self._choices = 0

    def value(self, schema: Any, place: str, depth: int) -> Any:
        if not isinstance(schema, Mapping):  # true: anything
            return self._faker.words(1)
        schema = self._resolved(schema)
        options = _options(schema)
        if options is not None:
            return self._turn(place, options) if options else None
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                return self._alternative(schema, key, place, depth)
        if schema.get("allOf"):
            merged: dict[str, Any] = {}
            for part in (schema, *map(self._resolved, schema["allOf"])):
                merged = _joined(merged, part)
            return self.value({k: v for k, v in merged.items() if k != "allOf"}, place, depth)
        return self._typed(schema, place, depth)

    def _turn(self, place: str, options: Sequence[Any]) -> Any:
        shift, self._choices = self._choices, self._choices + 1
        return self._faker.turn(place, options, shift=shift)

    def _alternative(self, schema: Schema, key: str, place: str, depth: int) -> Any:
        every = [self._resolved(each) for each in schema[key]]
        simple = [each for each in every if each.get("type") in ("null", "string", "number", "integer")]
        if depth > _DEEPEST and simple:  # a schema that holds itself ends here
            every = simple[:1]
        numbers = list(range(len(every)))
        number = numbers[0] if len(numbers) == 1 else self._turn(place, numbers)
        return self.value(every[number], f"{place}/{number}", depth + 1)

    def _typed(self, schema: Schema, place: str, depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = self._turn(place, kind)
        if kind == "object" or (kind is None and "properties" in schema):
            return self._object(schema, place, depth)
        if kind == "array":
            return self._array(schema, place, depth)
        if kind in ("integer", "number"):
            return self._number(schema, is_whole=kind == "integer")
        return None if kind == "null" else self._text(schema)

    def _object(self, schema: Schema, place: str, depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required = schema.get("required") or ()
        names = [name for name in properties if depth <= _DEEPEST or name in required]
        if depth > 2 * _DEEPEST:
            return {}
        return {name: self.value(properties[name], f"{place}.{name}", depth + 1) for name in names}

    def _array(self, schema: Schema, place: str, depth: int) -> list[Any]:
        least = max(int(schema.get("minItems", 0)), 0 if depth > _DEEPEST else 1)
        most = int(schema.get("maxItems", max(least, _MOST_ITEMS)))
        number = self._rng.randint(
            min(least, most), max(min(most, least + _MOST_ITEMS - 1), min(least, most))
        )
        first = schema.get("prefixItems") or []
        items = [self.value(each, f"{place}[{i}]", depth + 1) for i, each in enumerate(first)]
        item = schema.get("items", {"type": "string"})
        made: list[Any] = []
        for _ in range(_TRIES):
            if len(items) + len(made) >= number or item is False:
                break
            value = self.value(item, f"{place}[]", depth + 1)
            if not schema.get("uniqueItems") or value not in made:
                made.append(value)
        return items + made

    def _number(self, schema: Schema, *, is_whole: bool) -> int | float:
        low, high = schema.get("minimum"), schema.get("maximum")
        step = schema.get("multipleOf")
        inside = 1 if is_whole else 0.001
        if (above := schema.get("exclusiveMinimum")) is not None and not isinstance(above, bool):
            low = above + inside if low is None else max(low, above + inside)
        if (below := schema.get("exclusiveMaximum")) is not None and not isinstance(below, bool):
            high = below - inside if high is None else min(high, below - inside)
        if low is None:
            low = 0 if high is None or high >= 0 else high - _LONGEST_SPAN
        high = low + _LONGEST_SPAN if high is None else high
        if step:
            first, last = -(-low // step), high // step
            made = self._rng.randint(int(first), int(max(last, first))) * step
        elif is_whole:
            low, high = -int(-low // 1), int(high // 1)
            made = self._rng.randint(low, max(high, low))
        else:
            made = min(max(round(self._rng.uniform(low, high), 3), low), high)
        return int(made) if is_whole else made

    def _text(self, schema: Schema) -> str:
        if (fixed := _FORMATS.get(str(schema.get("format")))) is not None:
            return fixed
        if schema.get("format") == "uuid":
            return "-".join(f"{self._rng.getrandbits(4 * n):0{n}x}" for n in (8, 4, 4, 4, 12))
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        text = self._matching(str(schema["pattern"])) if schema.get("pattern") else None
        if text is not None:
            return text
        text = self._faker.words(3)
        while len(text) < least:
            text += " " + self._faker.words(1)
        return text if most is None else text[: max(int(most), 0)]

    def _matching(self, pattern: str) -> str | None:
        """A text that matches; ``None`` where none is found."""
        try:
            for _ in range(_TRIES):
                text = text_of_pattern(pattern, self._rng)
                if re.search(pattern, text):
                    return text
        except (re.error, RecursionError, ValueError, IndexError):
            pass
        return None

    def _resolved(self, schema: Any) -> Schema:
        """The schema that a reference names; what stands beside the reference counts as well."""
        beside: dict[str, Any] = {}
        for _ in range(_TRIES):
            if not isinstance(schema, Mapping) or "$ref" not in schema:
                break
            beside = {**{k: v for k, v in schema.items() if k != "$ref"}, **beside}
            schema = self._named(str(schema["$ref"]))
        return {**schema, **beside} if isinstance(schema, Mapping) else {}

    def _named(self, reference: str) -> Any:
        found: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name, {}) if isinstance(found, Mapping) and name else found
        return found


def _options(schema: Schema) -> list[Any] | None:
    """What an enumeration chooses from."""
    if "const" in schema:
        return [schema["const"]]
    if isinstance(schema.get("enum"), list):
        return list(schema["enum"])
    return [True, False] if schema.get("type") == "boolean" else None


def _joined(one: Schema, other: Schema) -> dict[str, Any]:
    """Both hold."""
    joined = {**one, **other}
    for key, empty in (("properties", {}), ("required", [])):
        if key in one and key in other:
            joined[key] = {**one[key], **other[key]} if isinstance(empty, dict) else [*one[key], *other[key]]
    return joined
