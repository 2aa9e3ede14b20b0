"""Samples of an earlier session, in place of calls of the app."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_promptune.store.log import LoggedSample, SampleKey

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

    def get(self, key: SampleKey) -> LoggedSample | None:
        """The sample stored under this key."""
        return self._found.get(_short(key), {}).get(key.scope)

    def of_any_scope(self, key: SampleKey, *scopes: str) -> list[LoggedSample]:
        """The sample of the first of these scopes that has one, the key's first; else those of all scopes."""
        found = self._found.get(_short(key), {})
        chosen = next((scope for scope in (key.scope, *scopes) if scope in found), None)
        return list(found.values()) if chosen is None else [found[chosen]]


def _short(key: SampleKey) -> _Short:
    return key.app, key.case_id, key.case_hash, key.variant, key.run
