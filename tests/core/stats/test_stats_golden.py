"""The golden vectors: every expected quantity of every file, none skipped."""

import json
import math
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
from scipy.special import stdtr, stdtrit

from pytest_promptune import stats
from pytest_promptune.stats import MetricSpec, Pair

FOLDER = Path(__file__).parent / "golden"
FILES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
EXPECTED = [(name, index) for name, file in FILES.items() for index in range(len(file["expected"]))]
#: Above this many relabellings random ones are used, and ``tol_mc`` applies.
ENUMERATED = 65_536


@cache
def scores(name):
    """(variant, metric) -> case -> values in run order."""
    table = defaultdict(lambda: defaultdict(list))
    for sample in sorted(FILES[name].get("samples", []), key=lambda sample: sample["run"]):
        table[sample["variant"], sample["metric"]][sample["case"]].append(sample["value"])
    return table


@cache
def judgement(name):
    config = FILES[name]["config"]
    pairs = [
        Pair(
            metric=metric,
            reference=config["baseline"],
            candidate="cand",
            reference_scores=scores(name)[config["baseline"], metric],
            candidate_scores=scores(name)["cand", metric],
            spec=MetricSpec(spec["kind"], spec["direction"]),
        )
        for metric, spec in config["metrics"].items()
    ]
    return stats.judge(
        pairs,
        alpha=config["alpha"],
        scope=config["scope"],
        statistic=config["statistic"],
        multiplicity=config.get("multiplicity", "holm"),
    )


def row(name, expected):
    (found,) = [row for row in judgement(name).comparisons if row.metric == expected["metric"]]
    return found


def field(attribute):
    return lambda name, expected: getattr(row(name, expected), attribute)


def bound(attribute, side):
    return lambda name, expected: getattr(row(name, expected), attribute)[side]


def t_paired(name, expected):
    """From the interval: its half width is the t quantile times the standard error."""
    found = row(name, expected)
    error = (found.ci_raw[1] - found.ci_raw[0]) / 2 / stdtrit(found.df, 0.975)
    return found.difference / error


def p_paired_t(name, expected):
    return 2 * stdtr(row(name, expected).df, -abs(t_paired(name, expected)))


def p_mean_statistic(name, expected):
    config, metric = FILES[name]["config"], expected["metric"]
    reference, candidate = scores(name)[config["baseline"], metric], scores(name)["cand", metric]
    return stats.compare(reference, candidate, **config["metrics"][metric], statistic="mean").p_value


def verdict(name, expected):
    found = row(name, expected).verdict
    return "no significant change" if found == "unchanged" else found


def adjusted(function, label):
    return lambda name, _: function(FILES[name]["config"]["p_values"][label])


def levels(kind):
    return lambda name, _: stats.spending(**FILES[name]["config"], kind=kind)


def component(attribute):
    def read(name, expected):
        return getattr(stats.variance_components(one_variant(name, expected)), attribute)

    return read


def n_flaky_cases(name, expected):
    cases = component("flaky_cases")(name, expected)
    return None if cases is None else len(cases)


def one_variant(name, expected):
    return scores(name)[expected["variant"], expected["metric"]]


def goal(read):
    def attained(name, expected):
        config = FILES[name]["config"]
        result = stats.goal_attainment(
            one_variant(name, expected),
            target=config["targets"][expected["metric"]],
            alpha=config["alpha"],
            scope=config["scope"],
            **config["metrics"][expected["metric"]],
        )
        return read(result)

    return attained


def planned(function, **names):
    """Call a planning function with the inputs of the file under our names for them."""

    def call(_name, expected):
        inputs = expected["inputs"]
        return function(**{ours: inputs[theirs] for ours, theirs in names.items()})

    return call


def runs_needed(**options):
    return stats.runs_needed(**options, safety=1)


NOISE = {"var0": "s0", "var1": "s1", "alpha": "alpha", "power": "power"}
QUANTITIES = {
    **{name: field(name) for name in ("n_cases", "n_unpaired_cases", "p_value", "p_better", "p_worse", "df")},
    **{name: field(name) for name in ("cliffs_delta", "hedges_g", "ratio", "min_attainable_p")},
    "n_relabellings": field("n_relabellings"),
    "mean_base": field("mean_reference"),
    "mean_cand": field("mean_candidate"),
    "sd_base": field("sd_reference"),
    "sd_cand": field("sd_candidate"),
    "diff": field("difference"),
    "n_missing_base": field("n_missing_reference"),
    "n_missing_cand": field("n_missing_candidate"),
    "relative_change_of_means": field("relative_change"),
    "p_worse_adj": field("p_worse_adjusted"),
    "p_better_adj": field("p_better_adjusted"),
    "ci_low": bound("ci", 0),
    "ci_high": bound("ci", 1),
    "ci_low_raw": bound("ci_raw", 0),
    "ci_high_raw": bound("ci_raw", 1),
    "ratio_ci_low": bound("ratio_ci", 0),
    "ratio_ci_high": bound("ratio_ci", 1),
    "t_paired": t_paired,
    "p_paired_t": p_paired_t,
    "p_value_mean_statistic": p_mean_statistic,
    "verdict": verdict,
    "gate": lambda name, _: judgement(name).gate,
    **{f"holm:{label}": adjusted(stats.holm, label) for label in ("a", "ties", "with_null")},
    **{f"bh:{label}": adjusted(stats.benjamini_hochberg, label) for label in ("a", "ties", "with_null")},
    "levels:obf": levels("obf"),
    "levels:split": levels("split"),
    "var_within": component("within"),
    "var_between": component("between"),
    "icc": component("icc"),
    "n_flaky_cases": n_flaky_cases,
    "mean": goal(lambda result: result.mean),
    "n_effective": goal(lambda result: result.n_effective),
    "mean_ci_low": goal(lambda result: result.ci[0]),
    "mean_ci_high": goal(lambda result: result.ci[1]),
    "goal": goal(lambda result: result.status),
    "mde": planned(stats.minimum_detectable, cases="C", runs0="R0", runs1="R1", **NOISE),
    "runs_needed": planned(runs_needed, cases="C", difference="delta", **NOISE),
    "runs_needed_fixed_baseline": planned(
        runs_needed, cases="C", difference="delta", stored_runs="R0", **NOISE
    ),
    "cases_needed": planned(
        stats.cases_needed, omega2="omega2", runs0="R0", runs1="R1", difference="delta", **NOISE
    ),
}


def uses_random_relabellings(name, expected):
    return expected.get("variant") == "cand" and row(name, expected).n_relabellings > ENUMERATED


def is_close(found, value, tolerance):
    if isinstance(value, list):
        return len(found) == len(value) and all(
            is_close(*pair, tolerance) for pair in zip(found, value, strict=True)
        )
    if value is None or isinstance(value, str):
        return found == value
    return found is not None and math.isclose(found, value, rel_tol=0, abs_tol=tolerance)


@pytest.mark.parametrize(
    ("name", "index"),
    EXPECTED,
    ids=[f"{n[:3]}-{FILES[n]['expected'][i].get('metric', '')}-{FILES[n]['expected'][i]['quantity']}-{i}"
         for n, i in EXPECTED],
)  # fmt: skip
def test_quantity_equals_its_independent_reference(name, index):
    """Each quantity is within the tolerance of its file; a quantity nobody mapped is an error."""
    expected = FILES[name]["expected"][index]
    found = QUANTITIES[expected["quantity"]](name, expected)
    tolerance = expected["tol"]
    if "tol_mc" in expected and uses_random_relabellings(name, expected):
        tolerance = expected["tol_mc"]
    accepted = [expected["value"], *expected.get("allowed", [])]
    assert any(is_close(found, value, tolerance) for value in accepted), (found, expected)


def test_all_twelve_files_are_there():
    """No golden file got lost."""
    assert len(FILES) == 12
