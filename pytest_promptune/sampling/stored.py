"""Samples of an earlier session, in place of calls of the app."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from pytest_promptune.core.display import clean, count, some
from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.sampling.reach import folder_of
from pytest_promptune.store.log import LoggedSample, SampleKey

#: How the reason begins for which a sample was not replayed; the id of the experiment follows.
STORED = "experiment"

_Short = tuple[str, str, str, str, int]


class StoredSamples:
    """Finds the stored sample in place of a call."""

    def __init__(
        self, samples: Iterable[LoggedSample] = (), *, replays: bool = False, name: str = ""
    ) -> None:
        """Takes all of them in.

        Args:
            samples: of one experiment.
            replays: nothing but these samples is used: the app is never called.
            name: id of that experiment.
        """
        self.replays = replays
        self.name = name
        self._found: dict[_Short, dict[str, LoggedSample]] = {}
        for sample in samples:
            self._found.setdefault(_short(sample.key), {})[sample.key.scope] = sample

    def __len__(self) -> int:
        """How many keys have samples."""
        return len(self._found)

    def __iter__(self) -> Iterator[LoggedSample]:
        """All samples."""
        return (sample for found in self._found.values() for sample in found.values())

    def get(self, key: SampleKey) -> LoggedSample | None:
        """The sample stored under this key."""
        return self._found.get(_short(key), {}).get(key.scope)

    def of_any_scope(self, key: SampleKey, *scopes: str) -> list[LoggedSample]:
        """The sample of the first of these scopes that has one, the key's first; else those of all scopes."""
        found = self._found.get(_short(key), {})
        chosen = next((scope for scope in (key.scope, *scopes) if scope in found), None)
        return list(found.values()) if chosen is None else [found[chosen]]

    def refuse_others(self, items: Iterable[PlannedItem]) -> None:
        """See that some of these items can be replayed; those whose case isn't known yet may be.

        Raises:
            StoreError: when there is a sample of none of them.
        """
        asked: Counter[str] = Counter()
        for item in items:
            if item.case is None or self._has(item):
                return
            asked[f"{clean(item.marks.app)} in {item.module}"] += 1
        if asked:
            raise StoreError(
                f"--promptune-replay: experiment {self.name} has no sample of anything that is selected "
                f"({_listed(asked, 'item')}), with cases, variants and runs as they are now. It has "
                f"{_listed(self._held(), 'sample') or 'none at all'}. Select its tests, or name an "
                "experiment of these: pytest-promptune history lists them."
            )

    def _has(self, item: PlannedItem) -> bool:
        if item.case is None:
            return False
        key = SampleKey(
            app=item.marks.app,
            scope=item.module,
            case_id=item.case.id,
            case_hash=item.case.fingerprint,
            variant=item.cell.variant,
            run=item.cell.run,
        )
        return bool(self.of_any_scope(key, folder_of(item)))

    def _held(self) -> Counter[str]:
        scopes = ((app, scope) for (app, *_), found in self._found.items() for scope in found)
        return Counter(f"{clean(app)} in {clean(scope)}" if scope else clean(app) for app, scope in scopes)


def _listed(numbers: Counter[str], noun: str) -> str:
    return some([f"{count(number, noun)} of {what}" for what, number in numbers.items()])


def _short(key: SampleKey) -> _Short:
    return key.app, key.case_id, key.case_hash, key.variant, key.run
