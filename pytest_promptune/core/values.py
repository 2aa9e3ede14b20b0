"""`dataclass`, with the methods made when they are needed.

The decorator of the standard library compiles up to six functions of every class, over a millisecond in
Python 3.11. A session defines some 160 such classes and makes instances of a third; the others' share was a
seventh of the processor time of a short one. Here what has to be compiled, `__init__`, is compiled for the
first instance, and everything else is common to all classes.

What comes of it is a dataclass like any other: `fields`, `replace`, `asdict`, pickling and type checkers
know it. Only `inspect.signature` sees no parameters before the first instance, so classes that users make
instances of have the decorator of the standard library.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen=False, slots=True, kw_only=False, eq=True):
        """As `dataclasses.dataclass`, for classes with slots that write none of the methods themselves."""
        if not slots:
            raise TypeError("only classes with slots are made here")

        def decorate(cls):
            made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
            names = tuple(field.name for field in dataclasses.fields(made))
            made.__init__ = _late_init(made)
            made.__repr__ = _repr_of(names)
            if eq:
                made.__eq__, made.__hash__ = _comparing(names, frozen=frozen)
            if frozen:
                made.__setattr__ = made.__delattr__ = _refuse
                made.__getstate__, made.__setstate__ = _pickling(names)
            return made

        return decorate


def _late_init(cls: type[Any]) -> Any:
    """An `__init__` that puts the compiled one in its place."""

    def __init__(self: Any, *args: Any, **values: Any) -> None:
        cls.__init__ = _compiled_init(cls)
        cls.__init__(self, *args, **values)

    return __init__


def _compiled_init(cls: type[Any]) -> Any:
    """What the standard library would have written, for fields that are all given to `__init__`."""
    known: dict[str, Any] = {"_set": object.__setattr__, "_missing": _MISSING}
    positional, named, body = ["self"], list[str](), list[str]()
    for field in dataclasses.fields(cls):
        name, value, parameter = field.name, field.name, field.name
        if field.default is not _MISSING:
            known[f"_default_{name}"] = field.default
            parameter = f"{name}=_default_{name}"
        elif field.default_factory is not _MISSING:
            known[f"_make_{name}"] = field.default_factory
            parameter, value = f"{name}=_missing", f"_make_{name}() if {name} is _missing else {name}"
        (named if field.kw_only else positional).append(parameter)
        body.append(f"_set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join([*positional, *(["*", *named] if named else [])])
    lines = "\n    ".join(body or ["pass"])
    exec(f"def __init__({parameters}):\n    {lines}", known)
    known["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return known["__init__"]


_MISSING = dataclasses.MISSING


def _values_of(names: tuple[str, ...]) -> Any:
    """A function that gives the values of an instance, always as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _repr_of(names: tuple[str, ...]) -> Any:
    def __repr__(self: Any) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({values})"

    return __repr__


def _comparing(names: tuple[str, ...], *, frozen: bool) -> tuple[Any, Any]:
    values = _values_of(names)

    def __eq__(self: Any, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(values(self) == values(other))

    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __eq__, __hash__ if frozen else None


def _refuse(_self: Any, name: str, *_value: object) -> None:
    """`__setattr__` and `__delattr__` of what can't be changed."""
    raise dataclasses.FrozenInstanceError(f"cannot assign to or delete field {name!r}")


def _pickling(names: tuple[str, ...]) -> tuple[Any, Any]:
    def __getstate__(self: Any) -> list[Any]:
        return [getattr(self, name) for name in names]

    def __setstate__(self: Any, state: list[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return __getstate__, __setstate__
