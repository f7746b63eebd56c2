//! The snippets of `recipes/scale-out`: well formed, and of commands that exist.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recipes/scale-out")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

#[test]
fn every_yaml_snippet_is_yaml_with_the_parts_it_needs() {
    let documents: Vec<Value> = read("kubernetes.yaml")
        .split("\n---\n")
        .map(|text| serde_saphyr::from_str(text).unwrap())
        .collect();
    let job = &documents[1];
    assert_eq!(job["kind"], "Job");
    assert_eq!(job["spec"]["completionMode"], "Indexed");
    let script = job["spec"]["template"]["spec"]["containers"][0]["args"][0]
        .as_str()
        .unwrap();
    let wanted = format!("--shard auto/{}", job["spec"]["completions"]);
    assert!(script.contains(&wanted), "{script}");
    assert_eq!(documents[2]["kind"], "Job");

    let github: Value = serde_saphyr::from_str(&read("github.yaml")).unwrap();
    let shard = &github["jobs"]["shard"];
    let parts = shard["strategy"]["matrix"]["shard"].as_array().unwrap();
    let numbers: Vec<u64> = parts.iter().filter_map(Value::as_u64).collect();
    assert_eq!(numbers, (1..=parts.len() as u64).collect::<Vec<_>>());
    assert_eq!(
        shard["env"]["TOOLBENCH_SHARD"],
        "${{ matrix.shard }}/${{ strategy.job-total }}"
    );

    let gitlab: Value = serde_saphyr::from_str(&read("gitlab.yaml")).unwrap();
    assert!(gitlab["measure"]["parallel"].is_u64());
    assert!(
        gitlab["measure"]["script"][0]
            .as_str()
            .unwrap()
            .contains("--shard auto")
    );
}

/// 3: a shard alone decides nothing; 5: it has no case. The whole may well decide.
#[test]
fn shards_that_decide_nothing_do_not_stop_the_merge() {
    let github: Value = serde_saphyr::from_str(&read("github.yaml")).unwrap();
    assert_eq!(github["jobs"]["merge"]["if"], "${{ !cancelled() }}");
    let gitlab: Value = serde_saphyr::from_str(&read("gitlab.yaml")).unwrap();
    let codes = &gitlab["measure"]["allow_failure"]["exit_codes"];
    assert_eq!(*codes, serde_json::json!([3, 5]));
    assert!(read("slurm.sbatch").contains("--dependency=afterany:"));
    assert!(read("kubernetes.yaml").contains("3|5) exit 0"));
}

#[cfg(unix)]
#[test]
fn the_kubernetes_script_ends_well_where_a_shard_decides_nothing() {
    let documents = read("kubernetes.yaml");
    let job: Value = serde_saphyr::from_str(documents.split("\n---\n").nth(1).unwrap()).unwrap();
    let script = job["spec"]["template"]["spec"]["containers"][0]["args"][0].as_str();
    for (code, ended) in [(0, 0), (3, 0), (5, 0), (2, 2), (1, 1), (130, 130)] {
        let ended_with = Command::new("sh")
            .args([
                "-euc",
                &format!("toolbench() {{ return {code}; }}\n{}", script.unwrap()),
            ])
            .env("JOB_COMPLETION_INDEX", "0")
            .env("MODEL", "any")
            .status()
            .expect("sh");
        assert_eq!(ended_with.code(), Some(ended), "{code}");
    }
}

#[cfg(unix)]
#[test]
fn shell_snippets_parse() {
    let checked = Command::new("bash")
        .arg("-n")
        .arg(folder().join("slurm.sbatch"))
        .output()
        .expect("bash");
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let documents = read("kubernetes.yaml");
    for text in documents.split("\n---\n").skip(1) {
        let job: Value = serde_saphyr::from_str(text).unwrap();
        let script = job["spec"]["template"]["spec"]["containers"][0]["args"][0]
            .as_str()
            .unwrap();
        let checked = Command::new("sh")
            .args(["-n", "-c", script])
            .output()
            .expect("sh");
        assert!(checked.status.success(), "{script}");
    }
}

/// What follows `toolbench` in every snippet, up to the end of the command.
fn commands(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ").replace("--quiet\n", "--quiet;\n");
    let mut found = Vec::new();
    for line in joined
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        for part in line.split("toolbench ").skip(1) {
            let end = part.find([';', '>', '|', '\'']).unwrap_or(part.len());
            let words = shlex::split(&part[..end]).unwrap_or_default();
            if words
                .first()
                .is_some_and(|word| word == "run" || word == "merge")
            {
                found.push(words);
            }
        }
    }
    found
}

#[test]
fn their_commands_have_no_unknown_flag() {
    let mut count = 0;
    for name in [
        "kubernetes.yaml",
        "slurm.sbatch",
        "github.yaml",
        "gitlab.yaml",
    ] {
        for words in commands(&read(name)) {
            count += 1;
            let command = toolbench::cli::command();
            let matched = command
                .try_get_matches_from(["toolbench".to_owned()].into_iter().chain(words.clone()));
            assert!(
                matched.is_ok(),
                "{name}: {words:?}: {}",
                matched.unwrap_err()
            );
        }
    }
    assert!(count >= 8, "{count}");
}
