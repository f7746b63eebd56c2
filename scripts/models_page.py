#!/usr/bin/env python3
"""Turns stored runs into a page: success by suite, category, dialect and constraint, and failure
codes, one section a model. Every number comes from `toolbench report RUN --format json`.

    scripts/models_page.py RUN... [--also RUN] [--out DIR] [--findings FILE] > PAGE.md

Several runs must be of different models on the same cases. The run after `--also` is of a suite of
which the others could score nothing: it takes that suite's lines, and no part in the totals.
"""
import argparse
import json
import os
import subprocess
import sys

TOOLBENCH = os.environ.get("TOOLBENCH", "toolbench")


def report(arguments, run, by=None):
    command = [TOOLBENCH, "report", run, "--format", "json", "-q"]
    command += ["--out", arguments.out] if arguments.out else []
    command += ["--by", by] if by else []
    done = subprocess.run(command, capture_output=True, text=True)
    if not done.stdout:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return json.loads(done.stdout)


def column(row):
    return (row["dialect"], row["constraint"])


def rate(row):
    """`k/n` and the interval, or a dash where nothing was scored."""
    success = row["success"]
    if success["rate"] is None:
        return "–"
    interval = f" [{100 * success['low']:.0f}–{100 * success['high']:.0f}]"
    return f"{100 * success['rate']:.0f} %{interval} ({success['hits']}/{success['of']})"


def short(row):
    success = row["success"]
    return "–" if row is None or success["rate"] is None else f"{success['hits']}/{success['of']}"


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" + " ---: |" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def matrix(title, key, rows, columns):
    names = sorted({row[key] for row in rows})
    found = {(row[key], column(row)): row for row in rows}
    lines = []
    for name in names:
        cells = [found.get((name, one)) for one in columns]
        lines.append([name] + ["–" if cell is None else short(cell) for cell in cells])
    table([title] + [f"{dialect} {constraint}" for dialect, constraint in columns], lines)


def codes(rows, columns):
    names = {}
    for row in rows:
        for count in row["failures"]:
            names[count["code"]] = names.get(count["code"], 0) + count["trials"]
    found = {(column(row), one["code"]): one["trials"] for row in rows for one in row["failures"]}
    order = sorted(names, key=lambda name: (-names[name], name))
    table(
        ["failure code"] + [f"{dialect} {constraint}" for dialect, constraint in columns],
        [[f"`{name}`"] + [str(found.get((one, name), "")) for one in columns] for name in order],
    )


def gathered(arguments, by=None):
    """One report of all runs; refuses runs of other cases, suites or versions."""
    reports = [report(arguments, run, by) for run in arguments.runs]
    first = reports[0]["header"]
    for other in (one["header"] for one in reports[1:]):
        for field in ["selection", "sample", "scorer_version", "metrics_version"]:
            if other.get(field) != first.get(field):
                sys.exit(f"{first['run']} and {other['run']} differ in {field}")
        if other["machine"]["tier"] != first["machine"]["tier"]:
            sys.exit(f"{first['run']} and {other['run']} were made on different machines")
    return {
        "headers": [one["header"] for one in reports],
        "totals": [row for one in reports for row in one["totals"]],
        "excluded": [row for one in reports for row in one["excluded"]],
    }


def with_other_run(arguments, found, key):
    """The lines of the other run instead of those of its suites."""
    if not arguments.also:
        return found
    other = report(arguments, arguments.also, key)["totals"]
    taken = {row[key] for row in other}
    kept = [row for row in found["totals"] if row[key] not in taken or row["success"]["of"]]
    return {**found, "totals": kept + other}


def introduction(arguments, headers):
    machine = headers[0]["machine"]
    print("# Five real models over all mock suites\n")
    for header in headers:
        print(f"Run `{header['run']}`: {header['trials']} of {header['planned_trials']} trials, made {header['created_at'][:10]}.", end=" ")
    print(f"Machine: {machine['cpu']} ({machine['tier']}). Times are left out: the machine was shared while the models ran.\n")
    if arguments.findings:
        print(open(arguments.findings, encoding="utf-8").read())


def excluded(rows):
    reasons = {}
    for one in rows:
        what = (one["model"], one["labels"].get("dialect", "every dialect"), one["reason"])
        reasons[what] = None
    if reasons:
        print("Not run:\n")
        for model, dialect, reason in reasons:
            print(f"- {model or 'every model'}, {dialect}: {reason}")
        print()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--out")
    parser.add_argument("--also")
    parser.add_argument("--findings")
    arguments = parser.parse_args()
    whole = gathered(arguments)
    by_suite = with_other_run(arguments, gathered(arguments, "suite"), "suite")
    by_category = with_other_run(arguments, gathered(arguments, "category"), "category")
    introduction(arguments, whole["headers"])
    print("## Success, macro over cases, 95 % intervals\n")
    table(
        ["model", "dialect", "constraint", "success", "first failure codes"],
        [[row["model"], row["dialect"], row["constraint"], rate(row),
          ", ".join(f"`{one['code']}` {one['trials']}" for one in row["failures"][:3])]
         for row in whole["totals"]],
    )
    excluded(whole["excluded"])
    for model in [one["name"] for header in whole["headers"] for one in header["models"]]:
        own = [row for row in whole["totals"] if row["model"] == model]
        columns = [column(row) for row in own]
        print(f"## {model}\n\nPassed of scored cases.\n")
        matrix("suite", "suite", [row for row in by_suite["totals"] if row["model"] == model], columns)
        matrix("category", "category", [row for row in by_category["totals"] if row["model"] == model], columns)
        codes(own, columns)


main()
