"""The licences of everything that a release archive holds, as one Markdown page.

usage: python3 scripts/third_party.py TARGET [FEATURE...]

Reads `cargo metadata` and the licence files of the packages themselves; build and test dependencies,
which the archive does not hold, are left out. Equal texts are printed once.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

NAMES = re.compile(r"(?i)^(licen[cs]e|copying|notice|copyright|unlicense)")
# Sources inside a package that have a licence of their own.
INSIDE = {
    "llama-cpp-sys-2": [
        ("llama.cpp and ggml", "MIT", ["llama.cpp/LICENSE"]),
        ("cpp-httplib", "MIT", ["llama.cpp/vendor/cpp-httplib/LICENSE"]),
        ("hash (SHA-256, xxHash)", "see below", ["llama.cpp/vendor/hash/*/LICENSE*"]),
        ("JSON for Modern C++", "MIT", []),
    ],
}
RUNTIME = """
Rust's standard library is under MIT or Apache-2.0.

The Linux archives hold `libgomp.so.1` and, inside the llama.cpp libraries, parts of libstdc++: run-time
libraries of GCC under the GNU General Public License, version 3, with the GCC Runtime Library Exception,
version 3.1, which permits to convey them together with programs of any licence. Their source is GCC's
(https://gcc.gnu.org), in the version that the file BUILD names.
"""


def metadata(target, features):
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    if features:
        command += ["--features", ",".join(features)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def linked(data):
    """Ids of what is linked in: normal dependencies from the root on, procedural macros left out."""
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    packages = {package["id"]: package for package in data["packages"]}
    seen, waiting = set(), [data["resolve"]["root"]]
    while waiting:
        identity = waiting.pop()
        kinds = {kind for target in packages[identity]["targets"] for kind in target["kind"]}
        if identity in seen or "proc-macro" in kinds:
            continue
        seen.add(identity)
        for dependency in nodes[identity]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return [packages[identity] for identity in seen if identity != data["resolve"]["root"]]


def read(path):
    return path.read_text(encoding="utf-8", errors="replace").strip()


def main():
    data = metadata(sys.argv[1], sys.argv[2:])
    rows, texts = [], {}

    def keep(owner, files):
        for file in files:
            text = read(file)
            owners = texts.setdefault(re.sub(r"\s+", " ", text), (text, []))[1]
            owners.append(owner)

    for package in sorted(linked(data), key=lambda package: package["name"]):
        root = Path(package["manifest_path"]).parent
        name = f"{package['name']} {package['version']}"
        stated = package["license"] or package["license_file"] or "see its repository"
        rows.append(f"| {name} | {stated} | {package['repository'] or ''} |")
        keep(name, sorted(file for file in root.iterdir() if file.is_file() and NAMES.match(file.name)))
        for title, licence, patterns in INSIDE.get(package["name"], []):
            rows.append(f"| {title} (in {name}) | {licence} | |")
            keep(title, sorted(file for pattern in patterns for file in root.glob(pattern)))

    print("# Licences of what this archive holds\n")
    print("toolbench itself is under MIT or Apache-2.0, at your choice (LICENSE-MIT, LICENSE-APACHE).")
    print(RUNTIME)
    print("| package | licence | source |\n|---|---|---|")
    print("\n".join(rows))
    for text, owners in texts.values():
        print(f"\n## {', '.join(owners)}\n\n```text\n{text}\n```")


if __name__ == "__main__":
    main()
