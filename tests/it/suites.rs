//! The shipped suites: sound, large enough, and `quick` pinned.

use crate::support::Context;

#[test]
fn every_shipped_suite_passes_its_own_check() {
    let context = Context::new();
    context.expect(0, &["suite", "check", "--all"]);
}

#[test]
fn suites_have_the_cases_they_promise() {
    let context = Context::new();
    let list: serde_json::Value =
        serde_json::from_str(&context.expect(0, &["suite", "list", "--format", "json"])).unwrap();
    let cases = |name: &str| {
        list.as_array()
            .unwrap()
            .iter()
            .find(|suite| suite["suite"] == name)
            .and_then(|suite| suite["cases"].as_u64())
            .unwrap_or_default()
    };
    for name in ["weather", "pipelines", "abstain"] {
        assert!(cases(name) >= 20, "{name}: {}", cases(name));
    }
    for name in ["filesystem", "everything", "time", "git", "memory"] {
        assert!(cases(name) >= 10, "{name}: {}", cases(name));
    }
    assert!((24..=30).contains(&cases("quick")), "{}", cases("quick"));
}

/// `quick` does not change when its suites grow: a changed case is a decision, made here.
#[test]
fn quick_is_pinned() {
    let library = toolbench::suite::Library::default();
    let suites = library.load("quick").unwrap();
    let hashes: Vec<String> = suites
        .iter()
        .flat_map(|suite| {
            suite
                .cases
                .iter()
                .map(|case| format!("{}/{} {}", suite.suite, case.id, case.case_hash().short()))
        })
        .collect();
    insta::assert_snapshot!(hashes.join("\n"));
}

/// The page that describes the suites counts what is there.
#[test]
fn the_page_of_suites_is_current() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/suites/README.md"))
        .expect("suites/README.md");
    let context = Context::new();
    let list: serde_json::Value =
        serde_json::from_str(&context.expect(0, &["suite", "list", "--format", "json"])).unwrap();
    let mut total = 0;
    let mut suites = 0;
    for suite in list.as_array().unwrap() {
        let (name, cases) = (
            suite["suite"].as_str().unwrap(),
            suite["cases"].as_u64().unwrap(),
        );
        if name == "quick" {
            continue;
        }
        let row = format!("| `{name}` | {cases} |");
        assert!(page.contains(&row), "suites/README.md lacks `{row}`");
        assert!(
            page.contains(&format!("### {name}\n")),
            "{name} is not described"
        );
        total += cases;
        suites += 1;
    }
    assert!(page.contains(&format!("{total} original cases in {suites} suites")));
    assert!(total >= 400 && suites >= 14);
}
