//! What holds of the sources themselves: the import ladder, file sizes, documented names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// For each module, the modules it may import. What is not listed is not allowed.
const LADDER: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("clock", &[]),
    ("weights", &["types"]),
    ("dialect", &["types"]),
    ("validate", &["types"]),
    ("conformance", &["types", "dialect", "validate"]),
    ("model", &["types", "clock"]),
    ("tools", &["types", "clock"]),
    ("engine", &["types", "clock", "weights"]),
    ("suite", &["types", "validate"]),
    ("authoring", &["types", "validate", "suite"]),
    ("config", &["types", "suite"]),
    ("plan", &["types"]),
    ("event", &["types"]),
    (
        "runner",
        &[
            "types", "clock", "plan", "dialect", "model", "tools", "validate", "event",
        ],
    ),
    (
        "selftest",
        &[
            "types", "suite", "plan", "runner", "model", "tools", "validate", "event",
        ],
    ),
    ("serve", &["types", "tools"]),
    ("record", &["types", "event"]),
    ("metrics", &["types", "record", "validate"]),
    (
        "sizing",
        &["types", "clock", "record", "metrics", "weights"],
    ),
    ("report", &["types", "metrics", "record", "sizing"]),
    (
        "setup",
        &[
            "types", "record", "metrics", "plan", "dialect", "model", "runner",
        ],
    ),
    ("gate", &["types", "record", "metrics", "report"]),
    ("history", &["types", "record", "metrics", "report"]),
    (
        "qualify",
        &["types", "suite", "record", "metrics", "report"],
    ),
    ("score", &["types", "validate"]),
    ("store", &["types", "clock"]),
    ("host", &["types", "clock", "store"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("src").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The module a file of `src/` belongs to.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("a source");
    let first = inside.components().next().expect("a component");
    first
        .as_os_str()
        .to_string_lossy()
        .trim_end_matches(".rs")
        .to_owned()
}

/// Text without comments and without items under `#[cfg(test)]`.
fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a source");
    let mut code = String::new();
    let mut lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            code.push_str(line);
            code.push('\n');
            continue;
        }
        // Skips the attributed item: to its `;`, or to where its braces close.
        let mut depth = 0;
        for line in lines.by_ref() {
            depth += line.matches('{').count();
            depth -= line.matches('}').count().min(depth);
            if depth == 0 && (line.ends_with(';') || line.ends_with('}')) {
                break;
            }
        }
    }
    code
}

#[test]
fn imports_point_only_down_the_ladder() {
    let allowed: BTreeMap<&str, &[&str]> = LADDER.iter().copied().collect();
    let mut broken = Vec::new();
    for path in sources(&root().join("src")) {
        let module = module_of(&path);
        if ["cli", "lib", "main"].contains(&module.as_str()) || is_test_file(&path) {
            continue;
        }
        let Some(may) = allowed.get(module.as_str()) else {
            broken.push(format!("module `{module}` is not on the ladder"));
            continue;
        };
        for imported in imports(&code_of(&path)) {
            if imported != module && !may.contains(&imported.as_str()) {
                broken.push(format!("{} imports `{imported}`", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn is_test_file(path: &Path) -> bool {
    let name = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    name == "tests"
        || name.ends_with("_tests")
        || name.starts_with("test_")
        || path.components().any(|part| part.as_os_str() == "tests")
}

/// First path segments after `crate::`.
fn imports(code: &str) -> Vec<String> {
    let mut found: Vec<String> = code
        .split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            // `use crate::{a, b::c};`
            Some(list) => list
                .split('}')
                .next()
                .unwrap_or_default()
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect(),
            None => vec![rest.to_owned()],
        })
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .filter(|name: &String| !name.is_empty())
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn pure_modules_do_no_input_or_output_and_are_not_async() {
    let mut broken = Vec::new();
    for path in sources(&root().join("src")) {
        let module = module_of(&path);
        if ![
            "dialect",
            "validate",
            "conformance",
            "plan",
            "metrics",
            "types",
            "authoring",
            "gate",
            "sizing",
        ]
        .contains(&module.as_str())
        {
            continue;
        }
        let code = code_of(&path);
        for word in [
            "async fn",
            "std::fs",
            "std::net",
            "std::process",
            "tokio::",
            "std::env::",
        ] {
            if code.contains(word) && !is_test_file(&path) {
                broken.push(format!("{} has `{word}`", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_the_command_line_prints() {
    for path in sources(&root().join("src")) {
        if module_of(&path) == "cli" || is_test_file(&path) {
            continue;
        }
        let code = code_of(&path);
        for word in ["println!", "eprintln!", "print!(", "dbg!("] {
            assert!(!code.contains(word), "{} has `{word}`", path.display());
        }
    }
}

#[test]
fn files_stay_readable() {
    let long: Vec<String> = sources(&root().join("src"))
        .iter()
        .chain(&sources(&root().join("tests")))
        .filter_map(|path| {
            let lines = std::fs::read_to_string(path)
                .expect("a source")
                .lines()
                .count();
            (lines > 600).then(|| format!("{}: {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    for path in sources(&root().join("src")) {
        let text = std::fs::read_to_string(&path).expect("a source");
        assert!(text.starts_with("//!"), "{} has no header", path.display());
    }
}

#[test]
fn published_schemas_are_current() {
    for name in ["suite", "summary", "gate", "qualify", "sizing"] {
        let context = crate::support::Context::new();
        let current = context.expect(0, &["schema", name]);
        let path = root().join(format!("schemas/{name}.schema.json"));
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            stored,
            current,
            "{} is out of date: write the output of `toolbench schema {name}` to it",
            path.display()
        );
    }
}

#[test]
fn the_readme_documents_exit_codes_and_commands() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    for status in toolbench::cli::exit_code::Status::ALL {
        let row = format!("| {} |", status.code());
        assert!(
            readme.contains(&row),
            "README.md lacks exit code {}",
            status.code()
        );
    }
    assert!(
        !readme.contains("REAL_OUTPUT"),
        "the README lacks a real output"
    );
    for command in toolbench::cli::command().get_subcommands() {
        if !command.is_hide_set() {
            let name = format!("`toolbench {}", command.get_name());
            assert!(readme.contains(&name), "README.md lacks {name}`");
        }
    }
}

#[test]
fn variables_are_documented() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    for (name, _) in toolbench::cli::OWN_VARIABLES
        .iter()
        .chain(toolbench::cli::HEEDED_VARIABLES)
    {
        assert!(readme.contains(name), "README.md lacks {name}");
    }
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let dependency =
            section.contains("dependencies") && line.contains(" = ") && !line.starts_with('#');
        let entry_of_table = section.contains("dependencies.");
        if dependency && !entry_of_table {
            assert!(line.contains(" # "), "no reason beside: {line}");
        }
    }
}
