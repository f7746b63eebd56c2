#!/usr/bin/env python3
"""Turns a stored run into a page: success by suite, category, dialect and constraint, and failure
codes, one section a model. Every number comes from `toolbench report RUN --format json`.

    scripts/models_page.py RUN [--out DIR] [--findings FILE] > PAGE.md
"""
import argparse
import json
import os
import subprocess
import sys

TOOLBENCH = os.environ.get("TOOLBENCH", "toolbench")


def report(arguments, by=None):
    command = [TOOLBENCH, "report", arguments.run, "--format", "json", "-q"]
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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--out")
    parser.add_argument("--findings")
    arguments = parser.parse_args()
    whole = report(arguments)
    by_suite, by_category = report(arguments, "suite"), report(arguments, "category")
    header = whole["header"]
    machine = header["machine"]
    print("# Five real models over all mock suites\n")
    print(f"Run `{header['run']}`, {header['trials']} of {header['planned_trials']} trials, made {header['created_at'][:10]} on "
          f"{machine['cpu']} ({machine['tier']}). Times are left out: the machine was shared while it ran.\n")
    if arguments.findings:
        print(open(arguments.findings, encoding="utf-8").read())
    print("## Success, macro over cases, 95 % intervals\n")
    table(
        ["model", "dialect", "constraint", "success", "first failure codes"],
        [[row["model"], row["dialect"], row["constraint"], rate(row),
          ", ".join(f"`{one['code']}` {one['trials']}" for one in row["failures"][:3])]
         for row in whole["totals"]],
    )
    if whole["excluded"]:
        print("Not run:\n")
        reasons = {}
        for one in whole["excluded"]:
            what = (one["model"], one["labels"].get("dialect", "every dialect"), one["reason"])
            reasons[what] = None
        for model, dialect, reason in reasons:
            print(f"- {model or 'every model'}, {dialect}: {reason}")
        print()
    for model in [one["name"] for one in header["models"]]:
        own = [row for row in whole["totals"] if row["model"] == model]
        columns = [column(row) for row in own]
        print(f"## {model}\n\nPassed of scored cases.\n")
        matrix("suite", "suite", [row for row in by_suite["totals"] if row["model"] == model], columns)
        matrix("category", "category", [row for row in by_category["totals"] if row["model"] == model], columns)
        codes(own, columns)


main()
