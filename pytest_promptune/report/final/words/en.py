"""English."""

from __future__ import annotations

from collections.abc import Mapping

#: As `core.display` writes them, and as they are called here.
UNITS: Mapping[str, str] = {}

WORDS: Mapping[str, str] = {
    "title": "Prompt tuning report: {apps}",
    "written": "Written on {date} by pytest-promptune {version}.",
    "and_more": " and {rest} more",
    "none": "none",
    "list": ", ",
    "space": " ",
    # headings
    "h_summary": "Summary",
    "h_results": "Results",
    "h_goals": "Goals",
    "h_conditions": "Conditions",
    "h_iterations": "Iterations",
    "h_cases": "Cases",
    "h_nodes": "Latency and cost by node",
    "h_plots": "Plots",
    "h_recommendations": "Recommendations",
    "h_method": "How this was computed",
    # summary
    "headline": "Iterations: {iterations}. Adopted: {adopted}.",
    "headline_goals": "Goals attained: {attained} of {goals}.",
    "rule_all": "All goals must be reached.",
    "rule_any": "Enough: {needed} of the goals.",
    "line_compared": "{what}: {before} → {after} ({effect}, p {p}), {result}",
    "line_moved": "{what}: {before} → {after}, {result}",
    "line_still": "{what}: {after}, {result}",
    "result_goal": "target {target}: **{status}**",
    "result_verdict": "**{verdict}**",
    "result_none": "no target",
    "goal_of": "{goal} ({metric})",
    "percentile_of": "p{percentile} of {metric}",
    # results
    "c_metric": "Metric",
    "c_initial": "Initial",
    "c_final": "Final",
    "c_value": "Value",
    "c_change": "Change",
    "c_relative": "Relative change",
    "c_difference": "Difference [{level} interval]",
    "c_interval": "{level} interval",
    "c_target": "Target",
    "c_achievement": "Achievement",
    "c_result": "Result",
    "c_goal": "Goal",
    "c_gap": "Gap",
    "c_variant": "Variant",
    "c_case": "Case",
    "c_node": "Node",
    "c_app": "App",
    "c_parameter": "Parameter",
    "c_condition": "Condition",
    "c_latency": "Latency (mean)",
    "c_share_latency": "Share of latency",
    "c_tokens": "Tokens per sample (in / out)",
    "c_cost": "Cost per sample",
    "c_share_cost": "Share of cost",
    "c_p": "p",
    "c_adjusted": "adj. p",
    "c_reference": "Before",
    "c_candidate": "After",
    "c_calls": "Calls per sample",
    "at_least": "{value} or higher",
    "at_most": "{value} or less",
    "not_gated": "{verdict} (not gated)",
    "equal": "equal in both",
    "verdict_improved": "improved",
    "verdict_regressed": "regressed",
    "verdict_unchanged": "no significant change",
    "verdict_inconclusive": "inconclusive",
    "status_attained": "attained",
    "status_missed": "missed",
    "status_unclear": "unclear",
    "note_goals": "Attained: the whole interval reaches the target; missed: none of it does; unclear: it holds the "
    "target. Gap is value minus target.",
    # conditions
    "k_experiment": "Experiment",
    "k_variant": "Variant",
    "k_started": "Measured (UTC)",
    "k_commit": "Commit",
    "k_models": "Models",
    "k_size": "Cases × runs",
    "k_samples": "Samples",
    "k_concurrency": "Samples in flight",
    "k_versions": "Versions",
    "with_changes": "{commit} with uncommitted changes",
    "on_branch": "{commit} on {branch}",
    "lost": "{samples} ({errored} errored, {missing} missing)",
    "versions": "pytest-promptune {promptune}, {python}",
    "d_models": "Models differ: {before} before, {after} after.",
    "d_concurrency": "Samples in flight differ: {before} before, {after} after.",
    "d_tests": "The text of these tests differs: {after}.",
    "d_prompts": "These prompts of the app differ: {after}.",
    "d_commit": "Commits differ: {before} before, {after} after.",
    # iterations
    "iteration": "Iteration {number}: {variants}",
    "iteration_of": "Experiment {experiment} of {date}, commit {commit}.",
    "iteration_repeats": "Measured before in {experiments}; the newest counts.",
    "note": "Note: {note}",
    "changed": "What {variant} changes",
    "changed_unknown": "What {variant} changes is not in the log.",
    "not_one_change": "More than one thing is changed at a time: what made the difference can't be told.",
    "change_of": "{kind} {target}",
    "change_of_unknown": "{kind} {target}; the text before is not known",
    "kind_template": "template",
    "kind_context": "context",
    "kind_node": "node",
    "kind_builder": "builder",
    "more_lines": "… {rest} more lines",
    "not_compared": "Nothing was compared.",
    "decided_adopted": "Decision: {variant} was adopted on {date} (commit {commit}).",
    "decided_nothing": "Decision: nothing was adopted.",
    "suggested": "Suggested: {action}.",
    "suggested_variant": "Suggested: {action} {variant}.",
    "action_record": "record a baseline",
    "action_adopt": "adopt",
    "action_continue": "continue",
    "action_stop": "stop",
    "action_plateau": "plateau",
    "action_investigate": "investigate",
    # cases
    "cases_counts": "Improved: {improved}, kept: {kept}, degraded: {degraded} (more than chance: {confirmed}).",
    "cases_unknown": "Not comparable: {unknown}.",
    "cases_kept": "Cases that were kept are not shown: {kept}.",
    "case_improved": "improved",
    "case_degraded": "degraded",
    "case_confirmed": "**{verdict}**",
    "show_cases": "Show the cases ({number})",
    # nodes
    "nodes_note": "Means over the samples in which the node ran. Cells with an arrow are initial → final.",
    # recommendations
    "r_goal_open": "**{goal} is {status}**: {value} {interval}, target {target} (gap {gap}).",
    "r_goal_unmatched": "**{goal} is not judged**: no metric that was measured is what this goal means. Name it "
    "under `promptune_goal_metrics`.",
    "r_regressed": "**{metric} got worse**: {before} → {after}. Cases: {cases}.",
    "r_adopt": "**Adopt {variant}**: it was better in iteration {iteration} ({numbers}). Run "
    "`pytest-promptune adopt NAME` with its name.",
    "r_more_runs": "**Measure more runs**: {metrics} can't be told apart with {now} runs per case; about {runs} would "
    "do.",
    "r_cost_share": "**{node} costs most**: {share} of the cost of {app} ({cost}). Shorten its prompt or take a "
    "smaller model first.",
    "r_latency_share": "**{node} takes longest**: {share} of the latency of {app} ({time} per sample).",
    "r_flaky": "**Look at flaky cases of {metric}**: {count} of {of} pass in some runs only ({cases}).",
    "r_thin_category": "**Add cases of {category}**: {count} of {of} cases, in {categories} categories.",
    "r_errored": "**Mend the errors**: {count} of {of} samples of the final state errored.",
    "r_none": "Nothing is open: the goals that there are are attained, and no case is flaky.",
    # remarks
    "m_no_iteration": "No variant was compared since the starting point: the numbers are those of the app as it "
    "stands.",
    "m_nothing_adopted": "No variant was adopted yet: the final state is the initial one, and results stand under "
    "the iterations.",
    "m_remeasured": "The final numbers are of {experiment}, measured after the adoption: the choice of the variant "
    "does not flatter them.",
    "m_chosen_by_these": "The final numbers are those by which the variant was chosen ({experiment}), which flatters "
    "them a little. Measure again to confirm them.",
    "m_strayed": "The prompts in {experiment} are not those that were adopted: they were changed since. The final "
    "numbers are of the adopted variant.",
    "m_running": "Still running, and not counted: {experiments}.",
    "m_interrupted": "Ended early, and not counted: {experiments}.",
    "m_earlier": "The series has earlier baselines ({count}); this report begins with the newest one. All of it: "
    "`pytest-promptune report --from` {experiment}.",
    "m_other_series": "The log has other series, on other apps or cases; this is the newest. Others, by an experiment "
    "of theirs for `--series`: {experiments}.",
    "m_times_not_comparable": "Latencies were measured with {before} samples in flight at first and {after} at the "
    "end: they are not comparable, and stand side by side without a verdict.",
    "m_only_initial": "Measured at the beginning only: {metrics}.",
    "m_only_final": "Measured at the end only: {metrics}.",
    "m_unlike": "Of another kind, unit or direction at the end, and not compared: {metrics}.",
    "m_not_computed": "Functions of the tests, which are not in the log, and not computed: {metrics}.",
    "m_several_apps": "The series measures several apps: {apps}.",
    "m_few_runs": "Measured with {runs} runs per case: with fewer than 3, only large changes can be seen.",
    # method
    "w_effect": "The effect is the mean over cases of final minus initial, each case being the mean of its runs.",
    "w_suite": "Test (these cases): studentised permutation of the run labels within every case, two-sided. It speaks "
    "of these cases, not of inputs outside the suite.",
    "w_population": "Test (inputs like these): sign flips of the differences of the cases, two-sided.",
    "w_interval": "Intervals hold at {level} each and agree with the test about zero.",
    "w_binary": "Shares: Wilson limits at the effective sample size, combined by MOVER; differences in points.",
    "w_latency": "Latency: tested on the log scale and shown as per cent of the ratio of geometric means; the means "
    "beside it are arithmetic.",
    "w_cost": "Cost and tokens: per cent of the initial mean, which is treated as fixed.",
    "w_adjusted": "p is that of the metric by itself; adj. p is Holm's over all gated metrics, and verdicts rest on "
    "it. The comparisons of an iteration are a family of their own.",
    "w_cases": "Cases count as improved or degraded by their means; bold ones are more than chance at a false "
    "discovery rate of 10 %.",
    "w_apart": "Initial and final state were measured in different sessions: whatever else changed between them is "
    "part of the difference.",
    "w_recommendations": "Recommendations follow from the numbers that they name: a node is named from half of cost "
    "or latency on, a category with less than half of the cases that each would have if all had as many.",
    "w_unknown": "Unknown is shown as –.",
}
