"""How fast a large experiment log answers: `python benchmarks/log_reading.py [--store URL] …` (see --help).

Fills an empty store with experiments of `--samples` samples each (outputs of about 500 bytes, prompts,
results, scores; seeded), then reads it as the commands do, each time in a new process, and prunes half of
it while somebody else writes. Prints tables in Markdown. A store that holds experiments already is read as
it is, so that a second call is quick; `--prune` says that half of it may go.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, text

from pytest_promptune.core.model import NodeRun, SampleRecord, Usage
from pytest_promptune.core.results import Result
from pytest_promptune.core.scoring import Score
from pytest_promptune.store.log import (
    ExperimentLog,
    LoggedCase,
    LoggedSample,
    LogWriter,
    Manifest,
    SampleKey,
    conditions_hash,
    locate,
    rows,
    schema,
    series_hash,
)
from pytest_promptune.store.log.location import Location
from pytest_promptune.store.log.opening import open_for_reading, open_for_writing

SEED = 20_261_128
RUNS = 10
WORDS = [
    "order",
    "refund",
    "parcel",
    "customer",
    "invoice",
    "please",
    "thank",
    "you",
    "the",
    "a",
    "of",
    "in",
    "to",
    "is",
    "we",
    "can",
    "find",
    "late",
]
#: Every so many experiments the cases change, and a new series begins.
SERIES = 25
#: Samples of one experiment are as many different ones as this, again and again.
DIFFERENT = 200

#: What a command reads, by its name.
READS = {
    "open": "pass",
    "history": "log.history()",
    "history of all": "log.history(None)",
    "trend": "log.trend('test_answer')",
    "experiment": "log.experiment(); log.conditions_of('last'); log.options_of('last'); "
    "log.prompts_of('last')",
    "series": "log.series_of(log.experiment().series)",
    "results document": "log.results_of('last')",
    "cases": "log.cases_of('last')",
    "results": "sum(1 for _ in log.results('last'))",
    "samples without outputs": "sum(1 for _ in log.samples('last', outputs=False))",
    "samples": "sum(1 for _ in log.samples('last'))",
}
PROGRAM = """
import sys
from pathlib import Path
from pytest_promptune.store.log import ExperimentLog, locate
with ExperimentLog(locate(sys.argv[1], root=Path.cwd())) as log:
    {read}
"""


def words(chance: random.Random, characters: int) -> str:
    return " ".join(chance.choices(WORDS, k=characters // 5))[:characters]


def samples_of(chance: random.Random, n: int) -> list[tuple[Any, Any]]:
    """Rows of samples and outputs, without their experiment and number."""
    kinds = []
    for _ in range(min(DIFFERENT, n)):
        prompt = (("system", words(chance, 400)), ("human", words(chance, 120)))
        usage = Usage(
            input_tokens=chance.randrange(90, 200), output_tokens=chance.randrange(60, 160), cost_usd=1e-4
        )
        node = NodeRun(
            node="answer", calls=1, latency_s=chance.random(), usage=usage, models=("m-small",), prompt=prompt
        )
        record = SampleRecord(
            case_id="",
            variant="current",
            run=0,
            output={"reply": words(chance, 480)},
            latency_s=chance.random(),
            usage=usage,
            nodes=(node,),
        )
        key = SampleKey(app="bot", scope="", case_id="", case_hash="", variant="current", run=0)
        kinds.append(
            rows.snapshot(LoggedSample(key=key, record=record, attempts=1, started=0.0, finished=1.0))
        )
    return [kinds[place % len(kinds)] for place in range(n)]


def results_of(chance: random.Random, n: int) -> list[tuple[Any, Any]]:
    """Rows of results and scores, likewise."""
    kinds = []
    for _ in range(min(DIFFERENT, n)):
        passes = chance.random() < 0.8
        kinds.append(
            rows.result_rows(
                Result(
                    nodeid="tests/test_bot.py::test_answer[c000-1]",
                    module="tests/test_bot.py",
                    test="test_answer",
                    metric="test_answer",
                    app="bot",
                    case_id="",
                    case_hash="",
                    variant="current",
                    run=0,
                    outcome="passed" if passes else "missed",
                    order=0,
                    gate=None,
                    scores={
                        "words": Score(value=float(chance.randrange(50, 90)), kind="score", direction="lower")
                    },
                    message="" if passes else words(chance, 80),
                )
            )
        )
    return [kinds[place % len(kinds)] for place in range(n)]


def fill(location: Location, experiments: int, samples: int) -> None:
    chance = random.Random(SEED)
    engine = open_for_writing(location)
    pool = samples_of(chance, samples), results_of(chance, samples)
    for number in range(1, experiments + 1):
        with engine.begin() as connection:
            one_experiment(connection, chance, number, samples, pool)
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    engine.dispose()


def one_experiment(
    connection: Connection, chance: random.Random, number: int, samples: int, pool: Any
) -> None:
    cases = cases_of(number // SERIES, max(1, samples // RUNS))
    hashes = {f"tests/test_bot.py::{case.id}": case.hash for case in cases}
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_700_000_000 + 3600 * number))
    prompts = {"current": {"answer.j2": f"Be kind, {number // 3}. " + "Answer in one sentence. " * 20}}
    conditions = {"cases": hashes, "runs": {"tests/test_bot.py": RUNS}}
    manifest = Manifest(
        id=f"{started.translate({45: None, 58: None}).rstrip('Z')}-{number:06x}",
        mode="check",
        started=started,
        conditions=conditions,
        prompts=prompts,
        cases=cases,
        series=series_hash(["tests/test_bot.py::bot"], hashes),
    )
    row = rows.experiment_row(manifest, hashed=conditions_hash(conditions)) | {
        "status": "finished",
        "heartbeat": 0.0,
    }
    row |= {
        "samples": samples,
        "cases": len(cases),
        "runs": RUNS,
        "variants": ["current"],
        "finished": started,
    }
    new = insert(schema.experiments).values(**row).returning(schema.experiments.c.experiment)
    experiment = {"experiment": connection.execute(new).scalar_one()}
    metrics = [
        {
            "metric": name,
            "variant": "current",
            "mean": chance.random(),
            "ci": [0.1, 0.9],
            "n_cases": len(cases),
        }
        for name in ("test_answer", "words", "latency_s", "cost_usd")
    ]
    document = {"metrics": metrics, "comparisons": [], "samples": samples}
    connection.execute(
        insert(schema.manifests),
        [experiment | {"conditions": conditions, "options": {}, "results": document}],
    )
    texts, named = rows.prompt_rows(manifest)
    contents, planned = rows.case_rows(manifest)
    known = set(connection.execute(select(schema.texts.c.hash)).scalars())
    connection.execute(
        insert(schema.texts),
        [one for one in texts if one["hash"] not in known] or [{"hash": f"t{number}", "text": ""}],
    )
    connection.execute(insert(schema.prompts), [experiment | one for one in named])
    if number == 1 or number % SERIES == 0:
        connection.execute(insert(schema.contents), contents)
    connection.execute(insert(schema.cases), [experiment | one for one in planned])
    connection.execute(insert(schema.metrics), [experiment | one for one in rows.metric_rows(document)])
    for table, of_table in tables(experiment, cases, samples, pool).items():
        connection.execute(insert(schema.metadata.tables[table]), of_table)


def cases_of(series: int, n: int) -> list[LoggedCase]:
    return [
        LoggedCase(
            module="tests/test_bot.py",
            id=f"c{place:04d}",
            hash=f"sha256:{series:04d}{place:06d}",
            tags={"category": f"k{place % 5}"},
            input={"question": "Where is my parcel? " * 5},
            expected="late",
        )
        for place in range(n)
    ]


def tables(
    experiment: dict[str, int], cases: list[LoggedCase], samples: int, pool: Any
) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for place in range(samples):
        case = cases[place // RUNS % len(cases)]
        mine = experiment | {"case_id": case.id, "case_hash": case.hash, "run": place % RUNS + 1}
        (sample, output), (result, scores) = pool[0][place], pool[1][place]
        number = experiment | {"sample": place + 1}
        item = experiment | {"item": place + 1}
        found.setdefault("promptune_samples", []).append(sample | mine | number)
        found.setdefault("promptune_outputs", []).append(output | number)
        found.setdefault("promptune_results", []).append(result | mine | item)
        found.setdefault("promptune_scores", []).extend(score | item for score in scores)
    return found


def seconds_of(store: str, read: str, times: int) -> tuple[float, float]:
    """Medians of whole processes: on the wall, and of processor time, which other work disturbs less."""
    program = PROGRAM.format(read=read)
    walls, processors = [], []
    for _ in range(times):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-c", program, store], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.perf_counter() - began)
        processors.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(walls), statistics.median(processors)


def size_of(location: Location) -> int:
    """Bytes on disk."""
    if location.path is not None:
        return sum(path.stat().st_size for path in location.path.parent.glob(f"{location.path.name}*"))
    with open_for_reading(location).connect() as connection:
        names = list(schema.metadata.tables)
        return sum(
            connection.execute(select(func.pg_total_relation_size(name))).scalar_one() for name in names
        )


def prune(location: Location) -> Iterator[str]:
    """Half of it, while an experiment goes on."""
    with ExperimentLog(location) as log:
        half = len(log.history(None)) // 2
    waits: list[float] = []
    done = threading.Event()
    writer = LogWriter(
        location,
        Manifest(id="99999999T000000-000000", mode="check", started="9999-01-01T00:00:00Z", conditions={}),
    )
    thread = threading.Thread(target=write_meanwhile, args=(writer, waits, done))
    thread.start()
    before, began = size_of(location), time.perf_counter()
    with ExperimentLog(location) as log:
        gone = log.prune(keep=half)
    taken = time.perf_counter() - began
    done.set()
    thread.join()
    problem = writer.close()
    yield f"| experiments pruned | {len(gone)} |"
    yield f"| seconds | {taken:.1f} |"
    yield f"| MB before and after | {before / 1e6:.0f} → {size_of(location) / 1e6:.0f} |"
    yield f"| samples written meanwhile | {len(waits)} |"
    yield f"| longest wait of one, s | {max(waits, default=0.0):.2f} |"
    yield f"| problem of who wrote | {problem} |"


def write_meanwhile(writer: LogWriter, waits: list[float], done: threading.Event) -> None:
    while not done.is_set():
        key = SampleKey(app="bot", case_id="c", case_hash="h", variant="current", run=len(waits) + 1)
        record = SampleRecord(case_id="c", variant="current", run=key.run, output="x" * 500)
        began = time.perf_counter()
        writer.sample(LoggedSample(key=key, record=record, attempts=1, started=0.0, finished=1.0))
        writer.wait_for(key)
        waits.append(time.perf_counter() - began)
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", default="sqlite:///bench-log/log.db", help="as --promptune-store has it")
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=1000, help="of each experiment")
    parser.add_argument("--times", type=int, default=3, help="processes for each reading; the median counts")
    parser.add_argument("--prune", action="store_true", help="throw half of the store away at the end")
    arguments = parser.parse_args()
    location = locate(arguments.store, root=Path.cwd())
    began = time.perf_counter()
    engine = open_for_writing(location)
    with engine.connect() as connection:
        there = connection.execute(select(func.count()).select_from(schema.experiments)).scalar_one()
    engine.dispose()
    if not there:
        fill(location, arguments.experiments, arguments.samples)
        print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
    with ExperimentLog(location) as log:
        samples = sum(found.samples for found in log.history(None))
    print(f"{samples:,} samples, {size_of(location) / samples:,.0f} bytes on disk each\n", flush=True)
    print("| reads | s | s of a processor |\n|---|---|---|")
    for name, read in READS.items():
        wall, processor = seconds_of(arguments.store, read, arguments.times)
        print(f"| {name} | {wall:.2f} | {processor:.2f} |", flush=True)
    if arguments.prune:
        print("\n| prune | |\n|---|---|")
        for line in prune(location):
            print(line, flush=True)


if __name__ == "__main__":
    main()
