"""The table: medians, ratios, and whether the targets are met."""

import math
import os
import statistics
from datetime import date
from pathlib import Path

from .scenarios import GROWTH

# Above a likelihood of this, what two brokers cost is not told apart.
LEVEL = 0.05
# Runs of each from which that can be said.
LEVEL_RUNS = 3


def machine():
    """What was measured on, and when."""
    model = "an unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{os.cpu_count()} cores of {model}, Linux {os.uname().release}, {date.today()}"


def runs(results, scenario, kind, field):
    return [result[field] for result in results.get(scenario, {}).get(kind, []) if result.get(field) is not None]


def median(results, scenario, kind, field):
    values = runs(results, scenario, kind, field)
    return statistics.median(values) if values else None


def show(chosen, kinds, results):
    """Prints the table; returns the targets that nanomq misses."""
    others = [kind for kind in kinds if kind != "nanomq"] if "nanomq" in kinds else []
    rows = [["", "unit", *kinds, *(f"{kind}/nanomq" for kind in others), "target"]]
    missed = []
    for scenario in chosen:
        if scenario.name not in results:
            continue
        rows.append([scenario.title + generator_share(results, scenario.name)])
        for metric in scenario.metrics:
            values = {kind: median(results, scenario.name, kind, metric.field) for kind in kinds}
            ours = values.get("nanomq")
            own_runs = runs(results, scenario.name, "nanomq", metric.field)
            verdicts = [judge(own_runs, metric, kind, runs(results, scenario.name, kind, metric.field)) for kind in [None, *others]]
            verdicts = [verdict for verdict in verdicts if verdict]
            missed += [f"{scenario.title}: {metric.label} {text}" for text, verdict in verdicts if verdict == "MISSED"]
            rows.append([
                f"  {metric.label}", metric.unit, *(number(value) for value in values.values()),
                *(ratio(values.get(kind), ours) for kind in others),
                ", ".join(f"{text} {verdict}" for text, verdict in verdicts),
            ])
    for growth in GROWTH:
        above, below = (1 if place is None else median(results, place[0], "nanomq", place[1]) for place in (growth.above, growth.below))
        if above is None or not below:
            continue
        value = above / below
        met = (growth.most is None or value <= growth.most) and (growth.least is None or value >= growth.least)
        bound = f"<= {growth.most:g}" if growth.most is not None else f">= {growth.least:g}"
        judged = (os.cpu_count() or 1) >= growth.cores
        if judged and not met:
            missed.append(f"{growth.label} {bound}")
        verdict = verdict_of(met) if met or judged else f"needs {growth.cores} cores"
        rows.append([growth.label, "", number(value), *[""] * (len(rows[0]) - 4), f"{bound} {verdict}"])
    widths = [max(len(row[column]) for row in rows if len(row) > column and len(row) > 1) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) if column in (0, 1, len(rows[0]) - 1) else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip() if len(row) > 1 else row[0])
    return missed


def generator_share(results, scenario):
    """How much of the work of all was the generator's, while nanomq was measured, for each message, round or connect."""
    for what in ("", "_per_connect"):
        own, broker = (median(results, scenario, "nanomq", f"{who}_cpu_us{what}") for who in ("generator", "broker"))
        if own is not None and broker:
            return f" (generator: {number(own)} us, {own / (own + broker):.0%} of the CPU)"
    return ""


def judge(ours, metric, kind, theirs):
    """A target as text and what became of it, given the runs; None where there is none or a value is missing."""
    if not ours:
        return None
    if kind is None:
        return None if metric.most is None else (f"<= {metric.most:g}", verdict_of(statistics.median(ours) <= metric.most))
    share = metric.shares.get(kind)
    if share is None or not theirs:
        return None
    if statistics.median(ours) <= statistics.median(theirs) * share:
        verdict = "met"
    elif share == 1 and min(len(ours), len(theirs)) >= LEVEL_RUNS and likelihood(ours, theirs) > LEVEL:
        verdict = "level"
    else:
        verdict = "MISSED"
    return f"<= {kind}" if share == 1 else f"<= 1/{1 / share:g} {kind}", verdict


def verdict_of(met):
    return "met" if met else "MISSED"


def likelihood(ours, theirs):
    """How likely as many pairs of runs, one of ours and one of theirs, have ours above, if both are of one kind: the test
    of Mann and Whitney, exact but for ties."""
    above = sum((own > other) + (own == other) / 2 for own in ours for other in theirs)
    pairs = len(ours) * len(theirs)
    # Of all orders of the runs, how many have so many pairs above: the coefficients of a Gaussian binomial.
    orders = [1] + [0] * pairs
    for place in range(1, len(ours) + 1):
        for number in range(pairs, len(theirs) + place - 1, -1):
            orders[number] -= orders[number - len(theirs) - place]
        for number in range(place, pairs + 1):
            orders[number] += orders[number - place]
    return sum(orders[math.ceil(above):]) / sum(orders)


def ratio(theirs, ours):
    return "" if theirs is None or not ours else number(theirs / ours)


def number(value):
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
