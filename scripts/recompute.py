#!/usr/bin/env python3
"""Recomputes a run's numbers from its record, independently of toolbench.

    recompute.py RUN_DIRECTORY [--summary summary.json]

Reads header.json and trials.jsonl. Prints counts, rates with Wilson intervals and quantiles per cell
and per row; with --summary compares them with toolbench's own within 1e-9, prints each mismatch and
exits 1 if there is any (2 when something cannot be read). Standard library only, Python 3.9 or later.

Written from the definitions (DESIGN.md section 4, `toolbench explain COLUMN`), not from the Rust.
Bootstrap intervals depend on a random generator and are checked for order and bounds only; every
Wilson interval, count, mean and quantile is checked in full.
"""

import argparse
import json
import math
import pathlib
import sys
from collections import Counter, defaultdict
from statistics import NormalDist

TOLERANCE = 1e-9
Z = NormalDist().inv_cdf(0.975)
SUCCESS = {"passed", "recovered"}
MODEL_FAULT = {"failed", "limit"}
CLASS_OF_KIND = {"infra": "infra", "void": "serving", "tool": "tool", "harness": "harness"}
PARSE_CODES = {"call_in_content", "malformed_json", "wrong_envelope", "stream_mismatch"}
SCHEMA_CODES = {"missing_required", "unexpected_param", "type_mismatch", "enum_violation",
                "constraint_violation", "unknown_tool"}


# ---- formulas ------------------------------------------------------------------------------------

def wilson(successes, n):
    """Wilson 1927: the p for which |observed - p| = z sqrt(p (1 - p) / n), solved as a quadratic."""
    if n == 0:
        return None, None
    observed = successes / n
    a = 1 + Z * Z / n
    b = -(2 * observed + Z * Z / n)
    c = observed * observed
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    return max((-b - root) / (2 * a), 0.0), min((-b + root) / (2 * a), 1.0)


def quantile(values, percent):
    """Nearest rank: the smallest value that at least percent % of the values do not exceed. Above the
    median only when at least one value is expected beyond it."""
    n = len(values)
    if n == 0 or (percent > 50 and n * (100 - percent) < 100):
        return None
    for value in sorted(values):
        if 100 * sum(other <= value for other in values) >= percent * n:
            return value
    return None


def quantiles(values):
    values = list(values)
    found = {f"p{percent}": quantile(values, percent) for percent in (50, 90, 95, 99)}
    return {"n": len(values), **found, "max": max(values, default=None)}


def mean(values):
    values = list(values)
    return math.fsum(values) / len(values) if values else None


def macro(cases, pair):
    """Mean over cases of hits / of, where pair(trial) gives (hits, of) or None."""
    per_case = []
    for trials in cases:
        pairs = [found for found in map(pair, trials) if found and found[1] > 0]
        if pairs:
            per_case.append(pairs)
    hits = sum(h for pairs in per_case for h, _ in pairs)
    of = sum(o for pairs in per_case for _, o in pairs)
    shares = [sum(h for h, _ in pairs) / sum(o for _, o in pairs) for pairs in per_case]
    result = {"rate": mean(shares), "hits": hits, "of": of}
    if not shares:
        low, high, method, n = None, None, "none", 0
    elif len(shares) == 1:
        (low, high), n = wilson(hits, of), of
        method = "wilson" if of == 1 else "wilson_one_case"
    else:
        total, n = math.fsum(shares), len(shares)
        single = all(len(pairs) == 1 for pairs in per_case)
        few = min(total, n - total)
        (low, high), method = wilson(total, n), "wilson"
        if not single and few >= 5 - TOLERANCE:
            low, high, method = None, None, "bootstrap"
    return {**result, "low": low, "high": high, "method": method, "n": n}


def choose(n, k):
    return math.comb(n, k)


# ---- one trial -----------------------------------------------------------------------------------

def kind(trial):
    return trial["outcome"]["kind"]


def succeeded(trial):
    return kind(trial) in SUCCESS


def scored(trial):
    return succeeded(trial) or kind(trial) in MODEL_FAULT


def code(trial):
    outcome = trial["outcome"]
    return outcome.get("underlying") or outcome.get("code")


def attempted_any(trial):
    return bool(trial.get("calls")) or any(a["attempted_call"] for a in trial["attempts"])


def firsts(trial):
    return [a for a in trial["attempts"] if a["attempt"] == 1] if scored(trial) else []


def reads_calls(reading):
    return bool(reading.get("calls")) and not reading.get("violations")


def unknown(attempt):
    found = {v.get("call") for v in attempt.get("violations", []) if v["code"] == "unknown_tool"}
    return len(found)


def tokens(attempt):
    return attempt["usage"]["prompt_tokens"] + attempt["usage"]["output_tokens"]


# ---- one row -------------------------------------------------------------------------------------

def recompute(cases, steering):
    """All checked numbers of one row; `cases` is a list of lists of trials."""
    trials = [trial for case in cases for trial in case]
    counted = [trial for trial in trials if scored(trial)]
    attempts = [attempt for trial in counted for attempt in trial["attempts"]]
    successes = sum(map(succeeded, counted))

    def yes_no(asked, holds):
        return lambda trial: (int(holds(trial)), 1) if asked(trial) else None

    def over_firsts(holds):
        def pair(trial):
            chosen = [a for a in firsts(trial) if a["attempted_call"]]
            return sum(bool(holds(trial, a)) for a in chosen), len(chosen)
        return pair

    def over_calls(part):
        def pair(trial):
            found = [part(trial, a) for a in firsts(trial)]
            return sum(h for h, _ in found), sum(o for _, o in found)
        return pair

    def read(trial, attempt):
        return attempt[steering(trial)].get("calls", [])

    def offered(trial, attempt):
        return len(read(trial, attempt)) - min(unknown(attempt), len(read(trial, attempt)))

    def valid(trial, attempt):
        reading = attempt[steering(trial)]
        return reads_calls(reading) and attempt["valid_calls"] == len(reading["calls"])

    excluded = Counter(CLASS_OF_KIND[kind(t)] for t in trials if kind(t) in CLASS_OF_KIND)
    row = {
        "cases": len(cases),
        "trials": len(trials),
        "scored_trials": len(counted),
        "success": macro(cases, yes_no(scored, succeeded)),
        "first_attempt": macro(cases, yes_no(
            scored, lambda t: succeeded(t) and t["first_attempt_success"])),
        "recovered": macro(cases, yes_no(
            scored, lambda t: succeeded(t) and not t["first_attempt_success"])),
        "as_deployed": macro(cases, yes_no(
            lambda t: scored(t) or kind(t) == "void", succeeded)),
        "calls": {
            "valid_call": macro(cases, over_firsts(valid)),
            "parsed": macro(cases, over_firsts(lambda t, a: reads_calls(a[steering(t)]))),
            "parsed_leniently": macro(cases, over_firsts(lambda _, a: reads_calls(a["lenient"]))),
            "offered_tool": macro(cases, over_calls(
                lambda t, a: (offered(t, a), len(read(t, a))))),
            "schema_valid": macro(cases, over_calls(
                lambda t, a: (min(a["valid_calls"], offered(t, a)), offered(t, a)))),
        },
        "abstention": macro(cases, yes_no(
            lambda t: scored(t) and t["abstention"],
            lambda t: succeeded(t) or (not attempted_any(t) and t.get("answer") is not None))),
        "trigger": trigger(cases),
        "excluded": {
            "trials": sum(excluded.values()),
            "share": sum(excluded.values()) / len(trials) if trials else None,
            **{name: excluded[name] for name in CLASS_OF_KIND.values()},
        },
        "latency": {
            "first_token_ms": quantiles(t["time"]["to_first_token_ms"] for t in counted
                                        if t["time"].get("to_first_token_ms") is not None),
            "valid_call_ms": quantiles(t["time"]["to_valid_call_ms"] for t in counted
                                       if t["time"].get("to_valid_call_ms") is not None),
            "task_ms": quantiles(t["time"]["total_ms"] for t in counted),
            "task_successful_ms": quantiles(
                t["time"]["total_ms"] for t in counted if succeeded(t)),
            "task_failed_ms": quantiles(
                t["time"]["total_ms"] for t in counted if not succeeded(t)),
            "task_mean_ms": mean(t["time"]["total_ms"] for t in counted),
            "model_mean_ms": mean(t["time"]["model_ms"] for t in counted),
            "tool_mean_ms": mean(t["time"]["tool_ms"] for t in counted),
            "correction_mean_ms": mean(t["time"]["correction_ms"] for t in counted),
            "noisy_trials": sum(t["noisy"] for t in counted),
        },
        "speed": speed(attempts),
        "tokens": {
            **{name: sum(a["usage"][name] for a in attempts) for name in (
                "prompt_tokens", "cached_tokens", "computed_tokens", "output_tokens",
                "forced_tokens", "reasoning_tokens")},
            "per_success_tokens": sum(map(tokens, attempts)) / successes if successes else None,
        },
        "corrections": corrections(cases, counted),
        "peak_memory_bytes": max((a["peak_memory_bytes"] for t in trials for a in t["attempts"]
                                  if a.get("peak_memory_bytes") is not None), default=None),
        "failures": Counter(code(t) for t in counted if not succeeded(t)),
        "grammar": grammar(trials),
        "repeats": repeats(cases),
    }
    return row


def trigger(cases):
    right = wrong = 0.0
    need = none = 0
    for case in cases:
        counted = [t for t in case if scored(t)]
        if not counted:
            continue
        part = sum(map(attempted_any, counted)) / len(counted)
        if counted[0]["abstention"]:
            none, wrong = none + 1, wrong + part
        else:
            need, right = need + 1, right + part
    precision = right / (right + wrong) if right + wrong > 0 else None
    recall = right / need if need else None
    f1 = None
    if precision is not None and recall is not None:
        f1 = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
    return {"precision": precision, "recall": recall, "f1": f1,
            "call_cases": need, "no_call_cases": none}


def speed(attempts):
    decoded = [a for a in attempts
               if a["usage"]["output_tokens"] >= 2 and a["timing"]["decode_ms"] > 0]
    filled = [a for a in attempts
              if a["usage"]["computed_tokens"] > 0 and a["timing"]["prefill_ms"] > 0]
    return {
        "decode_tokens_per_second": 1000 * sum(a["usage"]["output_tokens"] - 1 for a in decoded)
        / math.fsum(a["timing"]["decode_ms"] for a in decoded) if decoded else None,
        "prefill_tokens_per_second": 1000 * sum(a["usage"]["computed_tokens"] for a in filled)
        / math.fsum(a["timing"]["prefill_ms"] for a in filled) if filled else None,
    }


def corrections(cases, counted):
    corrected = [t for t in counted if t["corrections"] > 0]
    return {
        "mean": mean(t["corrections"] for t in counted),
        "corrected_trials": len(corrected),
        "recovery": macro(cases, lambda t: (int(succeeded(t)), 1)
                          if scored(t) and t["corrections"] > 0 else None),
        "exhausted_trials": sum(t["outcome"].get("code") == "corrections_exhausted"
                                and kind(t) == "limit" for t in counted),
        "overhead_ms": mean(t["time"]["correction_ms"] for t in corrected),
        "overhead_tokens": mean(sum(tokens(a) for a in t["attempts"] if a["attempt"] > 1)
                                for t in corrected),
    }


def grammar(trials):
    asked = [t for t in trials if t["constraint_asked"] == "grammar"]
    if not asked:
        return None
    effective = [t for t in asked if t["constraint_effective"] == "grammar"]
    attempts = [a for t in effective for a in t["attempts"] if a.get("reply") is not None]

    def with_code(codes):
        return sum(any(v["code"] in codes for v in a.get("violations", [])) for a in attempts)

    return {"asked_trials": len(asked), "effective_trials": len(effective),
            "attempts": len(attempts), "unparseable_attempts": with_code(PARSE_CODES),
            "schema_invalid_attempts": with_code(SCHEMA_CODES),
            "cut_attempts": with_code({"max_tokens_cut"})}


def repeats(cases):
    counts = [(len(c), sum(map(succeeded, c)))
              for c in ([t for t in case if scored(t)] for case in cases) if c]
    if not counts or all(n == 1 for n, _ in counts):
        return None
    k = min(n for n, _ in counts)
    some = mean(1 - choose(n - c, k) / choose(n, k) for n, c in counts)
    all_k = mean(choose(c, k) / choose(n, k) for n, c in counts)
    return {"k": k, "pass_at_k": some, "pass_hat_k": all_k, "reliability_gap": some - all_k,
            "flaky_cases": sum(0 < c < n for n, c in counts), "cases": len(counts)}


# ---- a run ---------------------------------------------------------------------------------------

def latest_trials(path):
    """The last line of each id; a torn last line is ignored."""
    found, lines = {}, 0
    for text in path.read_text(encoding="utf-8").split("\n"):
        if not text.strip():
            continue
        try:
            trial = json.loads(text)
        except ValueError:
            continue
        lines += 1
        found[trial["id"]] = trial
    return list(found.values()), lines - len(found)


def key_of(cell, trial, by, with_suite):
    return (cell["model"], cell["dialect"], cell["constraint"], cell["variant"], cell["tier"],
            tuple(sorted(cell["settings"].items())),
            cell["suite"] if with_suite else None,
            trial["category"] if trial and by == "category" else None,
            trial["difficulty"] if trial and by == "difficulty" else None)


def grouped(header, trials, by):
    """Row key to list of cases. `by` is None, suite, category or difficulty."""
    rows = defaultdict(lambda: defaultdict(list))
    if by in (None, "suite"):
        for cell in header["cells"]:
            rows[key_of(cell["key"], None, by, by == "suite")]
    for trial in trials:
        key = key_of(trial["cell"], trial, by, by == "suite")
        rows[key][(trial["cell"]["suite"], trial["case"])].append(trial)
    return {key: list(cases.values()) for key, cases in rows.items()}


def row_key(row):
    return (row["model"], row["dialect"], row["constraint"], row["variant"], row["tier"],
            tuple(sorted(row["settings"].items())), row["suite"], row["category"],
            row["difficulty"])


def steering_of(header):
    of_run = next((s["value"] for s in header["settings"] if s["name"] == "leniency"), "strict")
    return lambda trial: ("lenient" if trial["cell"]["settings"].get("leniency", of_run) == "lenient"
                          else "strict")


class Comparison:
    """Collects mismatches between recomputed and reported numbers."""

    def __init__(self):
        self.checked, self.mismatches = 0, []

    def check(self, where, mine, theirs):
        self.checked += 1
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool)
                      for v in (mine, theirs))
        if numbers:
            # Relative beyond 1, so that sums of many times are not held to absolute rounding.
            same = abs(mine - theirs) <= TOLERANCE * max(1.0, abs(mine), abs(theirs))
        else:
            same = mine == theirs
        if not same:
            self.mismatches.append(f"{where}: recomputed {mine!r}, summary says {theirs!r}")

    def walk(self, where, mine, theirs):
        if isinstance(mine, dict) and "method" in mine:
            self.rate(where, mine, theirs)
        elif isinstance(mine, dict):
            if not isinstance(theirs, dict):
                self.check(where, mine, theirs)
                return
            for name, value in mine.items():
                self.walk(f"{where}.{name}", value, theirs.get(name))
        else:
            self.check(where, mine, theirs)

    def rate(self, where, mine, theirs):
        for name in ("rate", "hits", "of", "method", "n"):
            self.check(f"{where}.{name}", mine[name], theirs[name])
        if mine["method"] == "bootstrap":
            ordered = 0 <= theirs["low"] <= theirs["rate"] <= theirs["high"] <= 1
            self.check(f"{where} in order", True, ordered)
        else:
            self.check(f"{where}.low", mine["low"], theirs["low"])
            self.check(f"{where}.high", mine["high"], theirs["high"])

    def rows(self, name, mine, theirs):
        reported = {row_key(row): row for row in theirs}
        self.check(f"{name}: rows", sorted(map(str, mine)), sorted(map(str, reported)))
        for key, row in mine.items():
            where = f"{name} {' '.join(str(part) for part in key if part)}"
            if key in reported:
                failures = row.pop("failures")
                self.walk(where, row, reported[key])
                found = {f["code"]: f["trials"] for f in reported[key]["failures"]}
                self.check(f"{where}.failures", dict(failures), found)


def show(name, rows):
    percent = lambda value: "–" if value is None else f"{100 * value:.1f}"
    plain = lambda value: "–" if value is None else f"{value:.0f}"
    for key, row in rows.items():
        success, task = row["success"], row["latency"]["task_ms"]
        print(f"{name}: {' '.join(str(part) for part in key if part)}: {row['cases']} cases, "
              f"{row['trials']} trials, success {percent(success['rate'])} % "
              f"[{percent(success['low'])}, {percent(success['high'])}] ({success['method']}, "
              f"n = {success['n']}), first attempt {percent(row['first_attempt']['rate'])} %, "
              f"task p50 {plain(task['p50'])} ms, p95 {plain(task['p95'])} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=pathlib.Path, help="run directory")
    parser.add_argument("--summary", type=pathlib.Path, help="toolbench's JSON, to compare with")
    arguments = parser.parse_args()
    try:
        header = json.loads((arguments.run / "header.json").read_text(encoding="utf-8"))
        trials, superseded = latest_trials(arguments.run / "trials.jsonl")
        summary = None
        if arguments.summary:
            summary = json.loads(arguments.summary.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"cannot read: {error}", file=sys.stderr)
        return 2
    steering = steering_of(header)
    by = summary["by"] if summary else None
    cells, totals = ({key: recompute(cases, steering)
                      for key, cases in grouped(header, trials, split).items()}
                     for split in ("suite", by))
    show("cell", cells)
    show("row", totals)
    if summary is None:
        return 0
    comparison = Comparison()
    comparison.check("header.trials", len(trials), summary["header"]["trials"])
    comparison.check("header.superseded_trials", superseded,
                     summary["header"]["superseded_trials"])
    comparison.rows("cell", cells, summary["cells"])
    comparison.rows("row", totals, summary["totals"])
    for mismatch in comparison.mismatches:
        print(f"MISMATCH {mismatch}")
    print(f"{comparison.checked} numbers compared, {len(comparison.mismatches)} differ")
    return 1 if comparison.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
