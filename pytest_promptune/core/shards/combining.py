"""Several shards as one: what contradicts or overlaps is refused, the rest is put back in order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_promptune.core.display import count, cut, some
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.results import Result, SampleFacts, SampleIdentity
from pytest_promptune.core.shards.shard import Document, ModulePart, Shard, ShardError
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import UsageView

_SampleKey = tuple[str, str, str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """What several shards are together."""

    shard: Shard
    #: How many samples more than one shard generated.
    twice: int


def combine(documents: Sequence[Document], *, allow_partial: bool = False) -> Combined:
    """Put the shards together; the order in which they are given doesn't matter but for shared samples.

    Tests of one sample may come from different shards. The sample was generated in each of them then; in each
    module its latency, usage and error are those of the first document that has it.

    Args:
        documents: at least one.
        allow_partial: take in sessions that ended early, too.

    Raises:
        ShardError: when two overlap or contradict each other, or one ended early.
    """
    _refuse_interrupted(documents, allow_partial)
    _refuse_looked(documents)
    _refuse_same_session(documents)
    _refuse_contradictions(documents)
    _refuse_other_models(documents)
    _refuse_overlap(documents)
    modules = _modules([document.shard.modules for document in documents])
    facts: dict[_SampleKey, SampleFacts] = {}
    makers: dict[tuple[SampleIdentity, int], set[str]] = {}
    for document in documents:
        for result in document.shard.results:
            if result.sample is not None:
                facts.setdefault(_sample_key(result), result.sample)
                makers.setdefault((result.sample_identity, result.run), set()).add(document.path)
    first = documents[0].shard
    shards = [document.shard for document in documents]
    results = _in_order((r for shard in shards for r in shard.results), shards, modules)
    shared = tuple(replace(r, sample=r.sample and _shared(r.sample, facts[_sample_key(r)])) for r in results)
    shard = Shard(
        settings=first.settings,
        variants=first.variants,
        modules=modules,
        results=shared,
        prompts={name: text for shard in shards for name, text in shard.prompts.items()},
        complete=all(shard.complete for shard in shards),
        whole=all(shard.whole for shard in shards),
        everything=any(shard.everything for shard in shards),
        aggregates=_unique(name for shard in shards for name in shard.aggregates),
        warnings=_unique(text for shard in shards for text in shard.warnings),
        notes=_unique(text for shard in shards for text in shard.notes),
    )
    return Combined(shard=shard, twice=sum(len(paths) > 1 for paths in makers.values()))


def _shared(own: SampleFacts, first: SampleFacts) -> SampleFacts:
    """What the first document says of a sample; scorers are those of the item."""
    return replace(first, scorer_errors=own.scorer_errors)


def is_whole(shard: Shard) -> bool:
    """Whether everything that was collected was measured."""
    return shard.complete and shard.whole and all(p.selected >= p.collected for p in shard.modules.values())


def total_usage(documents: Sequence[Document], of_samples: UsageView) -> UsageView:
    """What was spent, also on samples generated twice; `of_samples` counts each once."""
    facts = (result.sample for document in documents for result in document.shard.results)
    is_known = not any(sample.unpriced for sample in facts if sample is not None)

    def added(name: str) -> Any:
        known = [value for d in documents if (value := getattr(d.usage, name)) is not None]
        total: float | None = sum(known) if known and (is_known or name != "cost_usd") else None
        once: float | None = getattr(of_samples, name)
        # sums of sums differ from the sum in their last digit, which no reader of the results should see
        return once if total is not None and once is not None and math.isclose(total, once) else total

    return UsageView(**{name: added(name) for name in UsageView.__dataclass_fields__})


# --- what is refused ------------------------------------------------------------------------------


def _refuse_interrupted(documents: Sequence[Document], allowed: bool) -> None:
    cut_short = [document.path for document in documents if not document.shard.complete]
    if cut_short and not allowed:
        raise ShardError(
            f"{', '.join(cut_short)}: the session ended early (-x, Ctrl-C, an error), so what it was to "
            "measure is not all there. Run it again, or take what there is with --allow-partial."
        )


def _refuse_looked(documents: Sequence[Document]) -> None:
    looked = [document.path for document in documents if document.shard.looked]
    if looked:
        raise ShardError(
            f"{', '.join(looked)}: judged by looks of its own (--promptune-runs=MIN..MAX), which spends the "
            "error level that the merge would need. Measure parts with --promptune-gate=off, which measures "
            "all MAX runs, or with a fixed number of runs."
        )


def _refuse_same_session(documents: Sequence[Document]) -> None:
    known: dict[str, str] = {}
    for document in documents:
        identity = document.circumstances.id
        if identity in known:
            raise ShardError(f"{known[identity]} and {document.path} are the same session: give it once.")
        known[identity] = document.path


@dataclass(frozen=True, slots=True)
class _Agreement:
    """What all documents must say alike."""

    what: str
    cure: str = "Shards of one session are measured alike."

    def check(self, claims: Iterable[tuple[str, Hashable, Any]]) -> None:
        """Compare what paths claim about subjects; the first two that are at odds are named."""
        known: dict[Hashable, tuple[str, Any]] = {}
        for path, subject, value in claims:
            first, before = known.setdefault(subject, (path, value))
            if before != value:
                raise ShardError(
                    f"{first} and {path} contradict each other: {self.what}{subject} is {_shown(before)} in "
                    f"the first and {_shown(value)} in the second. {self.cure}"
                )


def _refuse_contradictions(documents: Sequence[Document]) -> None:
    settings = _Agreement("the setting ")
    settings.check((d.path, key, value) for d in documents for key, value in d.shard.settings.items())
    _Agreement("what is measured, the ").check(
        (d.path, "list of variants", [v.view.name for v in d.shard.variants]) for d in documents
    )
    _Agreement("the content of ").check(
        (d.path, f"the variant {v.view.name!r}", v.fingerprint) for d in documents for v in d.shard.variants
    )
    _Agreement("the ").check(
        (d.path, "commit", d.circumstances.commit) for d in documents if d.circumstances.commit is not None
    )
    _Agreement("the version of ").check(
        (d.path, "pytest-promptune", d.circumstances.promptune) for d in documents
    )
    _Agreement("the template ").check(
        (d.path, name, text) for d in documents for name, text in d.shard.prompts.items()
    )
    _Agreement("the hash of ").check(
        (d.path, module, part.hash) for d in documents for module, part in d.shard.modules.items()
    )
    _Agreement("the hash of ", cure="A case must be the same everywhere.").check(
        (d.path, f"case {case!r} of {module}", content)
        for d in documents
        for (module, case), content in _hashes(d.shard).items()
    )
    _Agreement("the metric ", cure="A metric has one meaning.").check(
        (d.path, f"{metric} of {module}", declared)
        for d in documents
        for (module, metric), declared in _declarations(d.shard).items()
    )


def _refuse_other_models(documents: Sequence[Document]) -> None:
    """One app with another model is another app. Parts of a router's have models in common, if by a third."""
    groups: dict[tuple[str, str, str], list[tuple[set[str], list[str]]]] = {}
    for document in documents:
        for place, mine in _models(document).items():
            met = [group for group in groups.get(place, ()) if not mine.isdisjoint(group[0])]
            apart = [group for group in groups.get(place, ()) if mine.isdisjoint(group[0])]
            joint = {*mine, *(model for models, _ in met for model in models)}
            groups[place] = [*apart, (joint, [*(path for _, paths in met for path in paths), document.path])]
    for (app, _, variant), of_app in groups.items():
        if len(of_app) > 1:
            (models, paths), (others, other_paths) = sorted(of_app, key=lambda group: group[1])[:2]
            raise ShardError(
                f"{paths[0]} and {other_paths[0]} contradict each other: {app} under {variant} was measured "
                f"with {some(sorted(models))} in {some(paths)}, and with {some(sorted(others))} in "
                f"{some(other_paths)}. "
                "Shards of one session have the same app: measure them again with one model. Of an app that "
                "chooses its model by the case, give each machine cases of all kinds."
            )


def _models(document: Document) -> dict[tuple[str, str, str], set[str]]:
    """By app, the place it belongs to, and variant, where any are known."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for result in document.shard.results:
        if result.sample is not None and result.sample.models:
            app, scope, variant, _, _ = result.sample_identity
            found.setdefault((app, scope, variant), set()).update(result.sample.models)
    return found


def _hashes(shard: Shard) -> dict[tuple[str, str], str]:
    return {(result.module, result.case_id): result.case_hash for result in shard.results}


def _declarations(shard: Shard) -> dict[tuple[str, str], str]:
    """Direction and unit of what was scored. Kinds may differ: booleans among numbers are numbers."""
    found: dict[tuple[str, str], str] = {}
    for result in shard.results:
        for name, score in result.scores.items():
            unit = f" in {score.unit}" if score.unit else ""
            found.setdefault((result.module, f"{result.test}::{name}"), f"{score.direction} is better{unit}")
    return found


def _refuse_overlap(documents: Sequence[Document]) -> None:
    owners: dict[tuple[Any, ...], str] = {}
    twice: list[tuple[tuple[Any, ...], str, str]] = []
    for document in documents:
        mine = {(r.module, r.test, r.case_id, r.variant, r.run) for r in document.shard.results}
        twice += [(key, owners[key], document.path) for key in sorted(mine & set(owners))]
        owners.update(dict.fromkeys(mine, document.path))
    if twice:
        (module, test, case, variant, run), first, second = twice[0]
        others = f"{count(len(twice), 'such item')} in all"
        raise ShardError(
            f"{first} and {second} overlap: {module}::{test} measured case {case!r} under {variant}, run "
            f"{run}, in both ({others}). Give each machine tests or cases of its own."
        )


def _shown(value: object) -> str:
    return cut(repr(value), 100)


# --- order ----------------------------------------------------------------------------------------


def _modules(parts: Sequence[Mapping[str, ModulePart]]) -> dict[str, ModulePart]:
    """All modules, with what each shard knows of them, in an order that the files' order doesn't change."""
    names = sorted({name for modules in parts for name in modules}, key=lambda name: name.split("/"))
    for modules in parts:
        if len(modules) == len(names):  # that session collected them all, in its order
            names = list(modules)
    return {name: _together([modules[name] for modules in parts if name in modules]) for name in names}


def _together(parts: Sequence[ModulePart]) -> ModulePart:
    return ModulePart(
        hash=parts[0].hash,
        cases=joined([part.cases for part in parts]),
        tests=joined([part.tests for part in parts]),
        collected=max(part.collected for part in parts),
        selected=sum(part.selected for part in parts),
        tags={case: tags for part in parts for case, tags in part.tags.items()},
    )


def joined(orders: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """One order of everything that stands in several, whichever comes first; the longest is kept as it is."""
    found: list[str] = []
    for order in sorted(set(map(tuple, orders)), key=lambda order: (-len(order), order)):
        if not found:
            found = list(order)
            continue
        known = set(found)
        place = 0
        for name in order:
            if name in known:
                place = found.index(name) + 1
            else:
                found.insert(place, name)
                place += 1
    return tuple(found)


def _in_order(
    results: Iterable[Result], shards: Sequence[Shard], modules: Mapping[str, ModulePart]
) -> list[Result]:
    """The results as one session would have measured them: by run, case, variant and test (see `plan`)."""
    module_ranks = _ranks(modules)
    variants = _ranks(variant.view.name for variant in shards[0].variants)
    cases = {module: _ranks(part.cases) for module, part in modules.items()}
    tests = {module: _ranks(part.tests) for module, part in modules.items()}

    def place(result: Result) -> tuple[int, ...]:
        return (
            module_ranks[result.module],
            result.run,
            cases[result.module][result.case_id],
            variants.get(result.variant, len(variants)),
            tests[result.module].get(result.test, 0),
        )

    ordered = sorted(results, key=place)
    return [replace(result, order=order) for order, result in enumerate(ordered)]


def _ranks(names: Iterable[str]) -> dict[str, int]:
    return {name: rank for rank, name in enumerate(names)}


def _sample_key(result: Result) -> _SampleKey:
    return result.module, result.app, result.variant, result.case_id, result.run


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


# --- what is told ---------------------------------------------------------------------------------


def gaps(combined: Combined) -> list[str]:
    """What these shards don't have although it exists, in sentences."""
    shard = combined.shard
    missing = {m: p.collected - p.selected for m, p in shard.modules.items() if p.selected < p.collected}
    found = []
    if missing:
        parts = [f"{number:,} of {shard.modules[m].collected:,} in {m}" for m, number in missing.items()]
        found.append(f"Items that none of the files measured: {some(parts)}.")
    if few := fewer_runs(shard):
        found.append(f"Cases with fewer runs than others: {some(few)}.")
    return found


def fewer_runs(shard: Shard) -> list[str]:
    """Cases that have fewer runs than others of their test, with both numbers."""
    runs: dict[tuple[str, str, str], Counter[str]] = {}
    for result in shard.results:
        runs.setdefault((result.module, result.test, result.variant), Counter())[result.case_id] += 1
    found: dict[str, None] = {}
    for (module, _, variant), counts in runs.items():
        most = max(counts.values())
        for case, number in counts.items():
            if number < most:
                found[f"{case} of {module} ({number} of {most} under {variant})"] = None
    return list(found)


def spent_twice(combined: Combined, path: str) -> str:
    """That samples were generated more than once, or nothing."""
    if not combined.twice:
        return ""
    return (
        f"{count(combined.twice, 'sample')} had tests in more than one file and {_was(combined.twice)} "
        f"generated in each: latency, tokens and errors of such a sample are, in each module, those of the "
        f"first file given ({path} and on), its tests judged the output of their own machine, and the usage "
        "counts all."
    )


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def failed_tests(experiment: Experiment) -> str:
    """That tests failed in the shards' own sessions, or nothing."""
    failed: Counter[str] = Counter(
        f"{result.module}::{result.test}" for result in experiment.results if result.outcome == "failed"
    )
    parts = [f"{test} ({count(number, 'time')})" for test, number in failed.items()]
    return f"Failed in the files' own sessions, not missed: {some(parts)}." if parts else ""
