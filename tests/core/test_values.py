"""The decorator for values: what it makes is a frozen dataclass, whatever is compiled when."""

import copy
import dataclasses
import inspect
import pickle
from dataclasses import FrozenInstanceError, asdict, field, fields, is_dataclass, replace

import pytest

from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    name: str
    size: int = 3
    parts: list[str] = field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    name: str
    size: int = 3
    parts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pair:
    left: int
    right: int = 0

    def __post_init__(self) -> None:
        if self.left < 0:
            raise ValueError("left")


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    value: int


@dataclass(frozen=True, slots=True)
class Empty:
    """Has no fields."""


@dataclass(slots=True, kw_only=True)
class Counter:
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class More(Single):
    other: str = "x"


def test_is_a_dataclass():
    whole = Whole(name="a")
    assert is_dataclass(whole)
    assert [each.name for each in fields(whole)] == ["name", "size", "parts"]
    assert asdict(whole) == {"name": "a", "size": 3, "parts": []}
    assert replace(whole, size=4) == Whole(name="a", size=4)


def test_says_what_the_standard_one_says():
    ours, theirs = Whole(name="a", parts=["x"]), Standard(name="a", parts=["x"])
    assert repr(ours) == repr(theirs).replace("Standard", "Whole")
    assert Whole.__match_args__ == Standard.__match_args__
    assert list(inspect.signature(Whole).parameters) == list(inspect.signature(Standard).parameters)
    assert not hasattr(ours, "__dict__")


@pytest.mark.parametrize("made", [Whole, Standard])
def test_refuses_what_the_standard_one_refuses(made):
    with pytest.raises(TypeError, match="name"):
        made()
    with pytest.raises(TypeError, match="unexpected"):
        made(name="a", unknown=1)
    with pytest.raises(TypeError, match="positional"):
        made("a")


def test_can_not_be_changed():
    whole = Whole(name="a")
    with pytest.raises(FrozenInstanceError, match="name"):
        whole.name = "b"
    with pytest.raises(FrozenInstanceError, match="name"):
        del whole.name
    assert whole.name == "a"


def test_each_instance_has_its_own_default():
    first, second = Whole(name="a"), Whole(name="b")
    first.parts.append("x")
    assert second.parts == []


def test_equality_and_hash():
    assert Pair(1) == Pair(1, 0)
    assert Pair(1) != Pair(2)
    assert Pair(1) != (1, 0)
    assert len({Pair(1), Pair(1, 0), Pair(2)}) == 2
    assert Single(value=1) == Single(value=1)
    assert Single(value=1) != Single(value=2)
    assert len({Single(value=1), Single(value=1)}) == 1
    assert Empty() == Empty()
    assert hash(Empty()) == hash(Empty())


def test_what_can_be_changed_has_no_hash():
    counter = Counter()
    counter.count += 1
    assert counter == Counter(count=1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(counter)


def test_post_init_runs():
    with pytest.raises(ValueError, match="left"):
        Pair(-1)
    with pytest.raises(ValueError, match="left"):
        replace(Pair(1), left=-1)


def test_subclasses():
    more = More(value=1)
    assert (more.value, more.other) == (1, "x")
    assert more != Single(value=1)
    assert repr(more) == "More(value=1, other='x')"
    with pytest.raises(FrozenInstanceError):
        more.value = 2


@pytest.mark.parametrize("value", [Whole(name="a", parts=["x"]), Pair(1, 2), Empty(), Counter(count=2)])
def test_copies_and_pickles(value):
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(value) == value
    assert copy.copy(value) == value


def test_only_with_slots():
    with pytest.raises(TypeError, match="slots"):
        dataclass(frozen=True, slots=False)
