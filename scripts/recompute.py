#!/usr/bin/env python3
"""Recomputes a run's numbers from its record, independently of toolbench.

    recompute.py RUN_DIRECTORY [--summary summary.json]

Reads header.json and trials.jsonl. Prints counts, rates with Wilson intervals and quantiles per cell
and per row; with --summary compares them with toolbench's own within 1e-9, prints each mismatch and
exits 1 if there is any (2 when something cannot be read). Standard library only, Python 3.9 or later.

Written from the definitions (DESIGN.md section 4, `toolbench explain COLUMN`), not from the Rust.
Every interval, count, mean, quantile, difference and p-value is checked in full, save bootstrap
intervals that have to be drawn (calls, attempts, uncommon numbers of trials): those for order and
bounds. In a run that stops once decided, differences are checked but for their level.
"""

import argparse
import json
import math
import pathlib
import sys
from collections import Counter, defaultdict

from formulas import (TOLERANCE, choose, common_unit, holm, macro, mcnemar, mean, newcombe,
                      percentiles, quantiles, ratio_limits, redrawn, sign_flips, tango_limits, wilson)

SUCCESS = {"passed", "recovered"}
MODEL_FAULT = {"failed", "limit"}
CLASS_OF_KIND = {"infra": "infra", "void": "serving", "tool": "tool", "harness": "harness"}
PARSE_CODES = {"call_in_content", "malformed_json", "wrong_envelope", "stream_mismatch"}
NO_COUNTS = dict.fromkeys(
    ("expected", "made", "right_tool", "matched", "extra", "states", "states_met"), 0)
SCHEMA_CODES = {"missing_required", "unexpected_param", "type_mismatch", "enum_violation",
                "constraint_violation", "unknown_tool"}


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


def first_output(trial):
    first = trial["time"].get("to_first_token_ms")
    if first is None or not trial["attempts"]:
        return []
    return [first + (trial["attempts"][0]["timing"].get("reasoning_ms") or 0)]


def inter_token(attempt):
    gaps, ms = attempt["usage"]["output_tokens"] - 1, attempt["timing"]["decode_ms"]
    return ms / gaps if gaps > 0 and ms > 0 else None


def needed(trial):
    """Corrections that a successful trial needed."""
    return trial["outcome"].get("corrections", 0) if succeeded(trial) else None


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

    def times(value):
        """Values of scored trials, by case, where there is one."""
        return quantiles([v for t in case if scored(t) for v in value(t) if v is not None]
                         for case in cases)

    def time(name):
        return times(lambda t: [t["time"].get(name)])

    def counted_calls(pair):
        """Of the judge's counts, where there are some."""
        return macro(cases, lambda t: pair({**NO_COUNTS, **t["call_counts"]})
                     if scored(t) and t.get("call_counts") else None)

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
        **({"as_written": macro(cases, yes_no(
            lambda t: scored(t) or "reread" in t,
            lambda t: succeeded(t) if scored(t) else "code" not in t["reread"]))}
           if any("reread" in t for t in trials) else {}),
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
        "against_expected": {
            "tool_selection": counted_calls(
                lambda c: (c["right_tool"], c["expected"]) if c["made"] else None),
            "arguments": counted_calls(lambda c: (c["matched"], c["right_tool"])),
            "call_set_f1": counted_calls(
                lambda c: (2 * c["matched"], c["expected"] + c["made"]) if c["expected"] else None),
            "end_state": counted_calls(lambda c: (c["states_met"], c["states"])),
            "extra_calls": counted_calls(lambda c: (c["extra"], c["made"])),
        },
        "excluded": {
            "trials": sum(excluded.values()),
            "share": sum(excluded.values()) / len(trials) if trials else None,
            **{name: excluded[name] for name in CLASS_OF_KIND.values()},
        },
        "latency": {
            "first_token_ms": time("to_first_token_ms"),
            "first_output_ms": times(first_output),
            "inter_token_ms": times(lambda t: map(inter_token, t["attempts"])),
            "valid_call_ms": time("to_valid_call_ms"),
            "task_ms": time("total_ms"),
            "task_successful_ms": times(
                lambda t: [t["time"]["total_ms"]] if succeeded(t) else []),
            "task_failed_ms": times(
                lambda t: [] if succeeded(t) else [t["time"]["total_ms"]]),
            "task_mean_ms": mean(t["time"]["total_ms"] for t in counted),
            "model_mean_ms": mean(t["time"]["model_ms"] for t in counted),
            "tool_mean_ms": mean(t["time"]["tool_ms"] for t in counted),
            "correction_mean_ms": mean(t["time"]["correction_ms"] for t in counted),
            "noisy_trials": sum(t["noisy"] for t in counted),
        },
        "speed": speed(cases, attempts),
        "tokens": {
            **{name: sum(a["usage"][name] for a in attempts) for name in (
                "prompt_tokens", "cached_tokens", "computed_tokens", "output_tokens",
                "forced_tokens", "reasoning_tokens")},
            "per_success_tokens": sum(map(tokens, attempts)) / successes if successes else None,
            **limits_of("per_success", "tokens", cases, scored,
                        lambda t: (sum(map(tokens, t["attempts"])), int(succeeded(t)))),
        },
        "corrections": corrections(cases, counted),
        "peak_memory_bytes": max((a["peak_memory_bytes"] for t in trials for a in t["attempts"]
                                  if a.get("peak_memory_bytes") is not None), default=None),
        "failures": Counter(code(t) for t in counted if not succeeded(t)),
        "grammar": grammar(cases, trials),
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
    f1, joint = None, (None, None)
    if precision is not None and recall is not None:
        f1 = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
        joint = [2 * limit / (1 + limit) for limit in wilson(right, need + wrong)]
    found = {"precision": precision, "recall": recall, "f1": f1,
             "call_cases": need, "no_call_cases": none}
    for name, limits in (("precision", wilson(right, right + wrong)),
                         ("recall", wilson(right, need)), ("f1", joint)):
        found[f"{name}_low"], found[f"{name}_high"] = limits
    return found


def limits_of(name, unit, cases, counts, pair):
    """Limits of a ratio of sums, from (above, below) of each trial that counts."""
    sums = [[pair(t) for t in case if counts(t)] for case in cases]
    low, high = ratio_limits([(sum(a for a, _ in case), sum(b for _, b in case))
                              for case in sums if case])
    return {f"{name}_low_{unit}": low, f"{name}_high_{unit}": high}


def speed(cases, attempts):
    def decoding(a):
        return a["usage"]["output_tokens"] >= 2 and a["timing"]["decode_ms"] > 0

    def filling(a):
        return a["usage"]["computed_tokens"] > 0 and a["timing"]["prefill_ms"] > 0

    def limits(name, counts, value, time):
        return limits_of(name, "tokens_per_second", cases, scored, lambda t: (
            sum(value(a) for a in t["attempts"] if counts(a)),
            sum(a["timing"][time] for a in t["attempts"] if counts(a)) / 1000))

    decoded = list(filter(decoding, attempts))
    filled = list(filter(filling, attempts))
    return {
        "decode_tokens_per_second": 1000 * sum(a["usage"]["output_tokens"] - 1 for a in decoded)
        / math.fsum(a["timing"]["decode_ms"] for a in decoded) if decoded else None,
        **limits("decode", decoding, lambda a: a["usage"]["output_tokens"] - 1, "decode_ms"),
        **limits("prefill", filling, lambda a: a["usage"]["computed_tokens"], "prefill_ms"),
        "prefill_tokens_per_second": 1000 * sum(a["usage"]["computed_tokens"] for a in filled)
        / math.fsum(a["timing"]["prefill_ms"] for a in filled) if filled else None,
    }


def corrections(cases, counted):
    corrected = [t for t in counted if t["corrections"] > 0]
    turns = sum(a["attempt"] == 1 for t in counted for a in t["attempts"])

    def exhausted(trial):
        return kind(trial) == "limit" and trial["outcome"].get("code") == "corrections_exhausted"

    return {
        "mean": mean(t["corrections"] for t in counted),
        "attempts_mean": mean(len(t["attempts"]) for t in counted),
        "attempts_per_turn": sum(len(t["attempts"]) for t in counted) / turns if turns else None,
        "exhausted": macro(cases, lambda t: (int(exhausted(t)), 1) if scored(t) else None),
        "within": [{
            "corrections": r,
            "success": macro(cases, lambda t: (int(succeeded(t) and needed(t) <= r), 1)
                             if scored(t) else None),
            "recovery": macro(cases, lambda t: (int(succeeded(t) and 1 <= needed(t) <= r), 1)
                              if scored(t) and t["corrections"] > 0 else None),
        } for r in range(max((t["corrections"] for t in counted), default=0) + 1)],
        "corrected_trials": len(corrected),
        "recovery": macro(cases, lambda t: (int(succeeded(t)), 1)
                          if scored(t) and t["corrections"] > 0 else None),
        "exhausted_trials": sum(map(exhausted, counted)),
        **limits_of("overhead", "ms", cases, lambda t: t in corrected,
                    lambda t: (t["time"]["correction_ms"], 1)),
        **limits_of("overhead", "tokens", cases, lambda t: t in corrected, lambda t: (
            sum(tokens(a) for a in t["attempts"] if a["attempt"] > 1), 1)),
        "overhead_ms": mean(t["time"]["correction_ms"] for t in corrected),
        "overhead_tokens": mean(sum(tokens(a) for a in t["attempts"] if a["attempt"] > 1)
                                for t in corrected),
    }


def grammar(cases, trials):
    asked = [t for t in trials if t["constraint_asked"] == "grammar"]
    if not asked:
        return None
    effective = [t for t in asked if t["constraint_effective"] == "grammar"]
    attempts = [a for t in effective for a in t["attempts"] if a.get("reply") is not None]

    def with_code(codes):
        return sum(any(v["code"] in codes for v in a.get("violations", [])) for a in attempts)

    def compiled(trial):
        answered = any(a.get("reply") is not None for a in trial["attempts"])
        if trial["constraint_asked"] != "grammar" or not (answered or trial.get("constraint_refused")):
            return None
        return int(trial["constraint_effective"] == "grammar"), 1

    return {"asked_trials": len(asked), "effective_trials": len(effective),
            "compiled": macro(cases, compiled),
            "compile_ms": quantiles([a["timing"]["grammar_ms"] for t in case if t in effective
                                     for a in t["attempts"] if a.get("reply") is not None]
                                    for case in cases),
            "attempts": len(attempts), "unparseable_attempts": with_code(PARSE_CODES),
            "schema_invalid_attempts": with_code(SCHEMA_CODES),
            "cut_attempts": with_code({"max_tokens_cut"})}


def repeats(cases):
    counts = [(len(c), sum(map(succeeded, c)))
              for c in ([t for t in case if scored(t)] for case in cases) if c]
    if not counts or all(n == 1 for n, _ in counts):
        return None
    k = min(n for n, _ in counts)

    def some(n, c, k):
        return 1 - choose(n - c, k) / choose(n, k)

    def every(n, c, k):
        return choose(c, k) / choose(n, k)

    def with_limits(name, values):
        values = list(values)
        low, high = wilson(math.fsum(values), len(values))
        return {name: mean(values), f"{name}_low": low, f"{name}_high": high}

    def estimates(k):
        return {"k": k, **with_limits("pass_at_k", (some(n, c, k) for n, c in counts)),
                **with_limits("pass_hat_k", (every(n, c, k) for n, c in counts))}

    flaky = with_limits("flaky_rate", (float(0 < c < n) for n, c in counts))
    return {**estimates(k), "cases": len(counts), "by_k": [estimates(i) for i in range(1, k + 1)],
            **with_limits("reliability_gap", (some(n, c, k) - every(n, c, k) for n, c in counts)),
            "flaky_cases": sum(0 < c < n for n, c in counts), "flaky_rate": flaky["flaky_rate"],
            "flaky_low": flaky["flaky_rate_low"], "flaky_high": flaky["flaky_rate_high"],
            "flaky": [{"suite": case[0]["cell"]["suite"], "case": case[0]["case"],
                       "successes": c, "trials": n}
                      for case, (n, c) in zip((x for x in cases if any(map(scored, x))), counts)
                      if 0 < c < n]}


# ---- pairs ---------------------------------------------------------------------------------------

def side_key(side):
    return (side["model"], side["dialect"], side["constraint"], side["variant"], side["tier"],
            tuple(sorted(side["settings"].items())))


def difference(comparison, trials):
    """What one comparison of the summary must say, from the trials of its two sides."""
    sides = []
    for name in ("baseline", "candidate"):
        cases = defaultdict(list)
        for t in trials:
            refused = (t["constraint_asked"] == "grammar" and t["constraint_effective"] != "grammar"
                       and comparison["family"] == "constraint")
            if side_key(t["cell"]) == side_key(comparison[name]) and scored(t) and not refused:
                cases[t["cell"]["suite"], t["case"], t["case_hash"]].append(succeeded(t))
        sides.append(cases)
    pairs = [(sides[0][case], sides[1][case]) for case in sides[0] if case in sides[1]]
    if not pairs:
        return None
    n = len(pairs)
    shares = [(sum(a) / len(a), sum(b) / len(b)) for a, b in pairs]
    both = math.fsum(a * b for a, b in shares)
    up = math.fsum((1 - a) * b for a, b in shares)
    down = math.fsum(a * (1 - b) for a, b in shares)
    single = all(len(a) == len(b) == 1 for a, b in pairs)
    unit = common_unit({len(side) for pair in pairs for side in pair})
    found = {"cases": n, "difference": (up - down) / n, "only_candidate": up, "only_baseline": down}
    if single:
        found["p_value"] = mcnemar(round(up), round(down))
    elif unit:
        found["p_value"] = sign_flips([round((b - a) * unit) for a, b in shares])
    unequal = sum(abs(a - b) > 1e-9 for a, b in shares)
    if single or unequal < 10:
        low, high = newcombe(both, up, down, n - both - up - down)
        if n < 10:
            tango = tango_limits(up, down, n)
            low, high = min(low, tango[0]), max(high, tango[1])
        found.update(low=low, high=high)
    elif unit:
        total = redrawn([[(sum(b), len(b), unit // len(b)), (sum(a), len(a), -unit // len(a))]
                         for a, b in pairs])
        low, high = percentiles(total, 0.025)
        found.update(low=low / (unit * n), high=high / (unit * n))
    return found


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
        elif isinstance(mine, list) and mine and isinstance(mine[0], dict):
            self.check(f"{where}: length", len(mine), len(theirs or []))
            for index, (one, two) in enumerate(zip(mine, theirs or [])):
                self.walk(f"{where}[{index}]", one, two)
        elif isinstance(mine, dict):
            if not isinstance(theirs, dict):
                self.check(where, mine, theirs)
                return
            for name, value in mine.items():
                self.walk(f"{where}.{name}", value, theirs.get(name))
        else:
            self.check(where, mine, theirs)

    def pairs(self, trials, summary):
        found = [difference(c, trials) for c in summary["comparisons"]]
        families = defaultdict(list)
        for index, c in enumerate(summary["comparisons"]):
            side = c["candidate"]
            held = ((side["dialect"], side["constraint"], side["variant"])
                    if c["family"] == "model" else side["model"])
            families[c["family"], held].append(index)
        for members in families.values():
            p_values = [(found[i] or {}).get("p_value", 1.0) for i in members]
            if all(found[i] is None or "p_value" in found[i] for i in members):
                for i, adjusted in zip(members, holm(p_values)):
                    if found[i]:
                        found[i]["p_holm"] = adjusted
        fixed = summary["header"]["sequential"] is None
        for mine, c in zip(found, summary["comparisons"]):
            where = f"{c['family']} {c['candidate']['model']} against {c['baseline']['model']}"
            self.check(f"{where}: paired", mine is not None, c["difference"] is not None)
            for name, value in (mine or {}).items():
                if fixed or name not in ("low", "high"):
                    self.check(f"{where}.{name}", value, c[name])

    def rate(self, where, mine, theirs):
        for name in ("rate", "hits", "of", "method", "n"):
            self.check(f"{where}.{name}", mine[name], theirs[name])
        if mine["method"] == "bootstrap" and mine["low"] is None:
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
    comparison.pairs(trials, summary)
    for mismatch in comparison.mismatches:
        print(f"MISMATCH {mismatch}")
    print(f"{comparison.checked} numbers compared, {len(comparison.mismatches)} differ")
    return 1 if comparison.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
