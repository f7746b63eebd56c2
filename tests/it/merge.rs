//! Shards through the command: put together they are the whole, byte for byte; anything else is refused.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Context, TINY_SUITE, json_lines, stderr, stdout};

/// Right in most cases of `weather`, wrong in some, broken in one, whatever is asked.
const SCRIPT: &str = "name: mixed
replies:
  weather-current-berlin: ['{\"tool\":\"get_current_weather\",\"arguments\":{\"city\":\"Berlin\"}}']
  weather-air-warsaw: [{fault: network}]
otherwise: '{\"answer\":\"no\"}'
";

pub fn prepared() -> Context {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", SCRIPT);
    context.write("other.yaml", "name: other\notherwise: 'no idea'\n");
    context
}

/// Two models, two dialects, two constraints, two suites; native is excluded for want of a template.
const RUN: &[&str] = &[
    "compare",
    "scripted:model.yaml",
    "scripted:other.yaml",
    "--suite",
    "weather,tiny.yaml",
    "--dialect",
    "json,native",
    "-q",
];

pub fn run(context: &Context, further: &[&str]) {
    let mut all = RUN.to_vec();
    all.extend(further);
    let output = context.run(&all);
    // A network failure is more than 5 % of nothing: undecidable or complete, but on record.
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{further:?}: {}",
        stderr(&output)
    );
}

pub fn shards(context: &Context, count: usize) -> Vec<String> {
    // Made in an order that is not theirs.
    let mut made = Vec::new();
    for index in (1..=count).rev() {
        let shard = format!("{index}/{count}");
        let out = format!("shards/{index}");
        run(context, &["--shard", &shard, "--out", &out]);
        made.push(out);
    }
    made
}

/// The only run directory of a folder.
pub fn only(context: &Context, folder: &str) -> PathBuf {
    let mut runs: Vec<PathBuf> = std::fs::read_dir(context.path(folder))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

pub fn merge(context: &Context, shards: &[String]) -> std::process::Output {
    let mut all = vec!["merge"];
    all.extend(shards.iter().map(String::as_str));
    all.extend(["--out", "merged", "-q"]);
    context.run(&all)
}

pub fn canonical(context: &Context, folder: &str) -> String {
    let run = only(context, folder);
    let output = context.run(&["report", run.to_str().unwrap(), "--canonical"]);
    // As in `run`.
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        stderr(&output)
    );
    stdout(&output)
}

/// What more cases would take is in minutes of this machine.
fn without_clock(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.remove("more_minutes");
            fields
                .values_mut()
                .for_each(|it| *it = without_clock(it.take()));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|it| *it = without_clock(it.take())),
        _ => {}
    }
    value
}

fn refused(context: &Context, shards: &[String]) -> String {
    let output = merge(context, shards);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(!context.path("merged").exists(), "nothing is written");
    text
}

#[test]
fn four_shards_are_the_whole_byte_for_byte() {
    let context = prepared();
    run(&context, &["--out", "whole"]);
    let shards = shards(&context, 4);
    let output = merge(&context, &shards);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(canonical(&context, "merged"), canonical(&context, "whole"));

    // The tables are those of the whole too, but for what says when and where.
    let summary = |folder: &str| -> Value {
        let run = only(&context, folder);
        let output = context.run(&["report", run.to_str().unwrap(), "--format", "json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (merged, whole) = (summary("merged"), summary("whole"));
    for key in ["comparisons", "failures", "excluded", "advice"] {
        let untimed = |summary: &Value| without_clock(summary[key].clone());
        assert_eq!(untimed(&merged), untimed(&whole), "{key}");
    }
    let rates = |summary: &Value| -> Vec<Value> {
        let rows = summary["cells"].as_array().unwrap();
        rows.iter().map(|row| row["success"].clone()).collect()
    };
    assert_eq!(rates(&merged), rates(&whole));
    assert_eq!(
        merged["header"]["planned_trials"],
        whole["header"]["planned_trials"]
    );
    assert!(merged["header"]["shard"].is_null());
    let made_of = merged["header"]["merged_from"].as_array().unwrap();
    let parts: Vec<&str> = made_of
        .iter()
        .map(|it| it["shard"].as_str().unwrap())
        .collect();
    assert_eq!(parts, ["1/4", "2/4", "3/4", "4/4"]);
    assert!(
        made_of
            .iter()
            .all(|it| !it["machine"]["tier"].as_str().unwrap().is_empty())
    );

    // A normal record: it is listed, judged again, gone on with, and says where it comes from.
    let directory = only(&context, "merged");
    assert_eq!(json_lines(&directory.join("executions.jsonl")).len(), 4);
    let text = context.run(&["report", directory.to_str().unwrap()]);
    assert!(
        String::from_utf8_lossy(&text.stdout).contains("merged from 4 shards"),
        "{}",
        String::from_utf8_lossy(&text.stdout)
    );
    let list = context.expect(0, &["runs", "list", "--out", "merged"]);
    assert!(list.contains("complete"), "{list}");
    // The broken trial is run again, as in any run.
    let resumed = context.run(&["run", "--resume", "latest", "--out", "merged", "-q"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", stderr(&resumed));
    assert_eq!(json_lines(&directory.join("executions.jsonl")).len(), 5);
    let canonical_again = canonical(&context, "merged");
    assert_eq!(canonical_again, canonical(&context, "whole"));
    let rescored = context.run(&["rescore", "latest", "--out", "merged", "-q"]);
    assert!(stderr(&rescored).is_empty(), "{}", stderr(&rescored));
    assert!(context.path("merged").read_dir().unwrap().count() == 2);
}

#[test]
fn resumed_shards_and_any_order_give_the_same_record() {
    let context = prepared();
    run(&context, &["--out", "whole"]);
    let mut shards = shards(&context, 3);
    // As a machine that went away leaves it.
    let trials = only(&context, "shards/2").join("trials.jsonl");
    let text = std::fs::read_to_string(&trials).unwrap();
    let cut = text.match_indices('\n').nth(4).unwrap().0;
    std::fs::write(&trials, &text[..cut - 10]).unwrap();
    let message = refused(&context, &shards);
    assert!(message.contains("shard 2/3, run `"), "{message}");
    assert!(message.contains("have no result"), "{message}");
    // Shards lie elsewhere than where `--resume NAME` looks.
    let place = only(&context, "shards/2");
    let inside = format!("toolbench run --resume {}", place.display());
    let relative = "toolbench run --resume shards/2/";
    assert!(
        message.contains(&inside) || message.contains(relative),
        "{message}"
    );

    let resumed = context.run(&["run", "--resume", "latest", "--out", "shards/2", "-q"]);
    assert!(matches!(resumed.status.code(), Some(0 | 3)));
    merge(&context, &shards);
    assert_eq!(canonical(&context, "merged"), canonical(&context, "whole"));
    let header = |folder: &str| -> Value {
        let text = std::fs::read_to_string(only(&context, folder).join("header.json")).unwrap();
        let mut value: Value = serde_json::from_str(&text).unwrap();
        value["run"] = Value::Null;
        value
    };
    let first = header("merged");
    let lines = json_lines(&only(&context, "merged").join("trials.jsonl"));
    std::fs::remove_dir_all(context.path("merged")).unwrap();
    shards.rotate_left(1);
    // A folder of folders is not looked into, a folder of runs is; a run named twice is one.
    shards.push(only(&context, "shards/1").display().to_string());
    merge(&context, &shards);
    assert_eq!(header("merged"), first);
    assert_eq!(
        json_lines(&only(&context, "merged").join("trials.jsonl")),
        lines
    );
}

#[test]
fn gaps_overlaps_and_strangers_are_named() {
    let context = prepared();
    let shards = shards(&context, 3);
    let message = refused(&context, &shards[..2]);
    assert!(message.contains("no run of shard 1/3"), "{message}");
    assert!(
        message.contains("of 49 cases are missing, weather/"),
        "{message}"
    );
    assert!(message.contains("--shard 1/3"), "{message}");

    run(&context, &["--shard", "1/3", "--out", "again"]);
    let twice = [shards.clone(), vec!["again".to_owned()]].concat();
    let message = refused(&context, &twice);
    assert!(
        message.contains("shard 1/3 is there more than once"),
        "{message}"
    );

    run(&context, &["--out", "whole"]);
    let message = refused(
        &context,
        &[shards.clone(), vec!["whole".to_owned()]].concat(),
    );
    assert!(message.contains("is a whole run, not a shard"), "{message}");

    run(
        &context,
        &["--shard", "1/3", "--seed", "7", "--out", "seed"],
    );
    let others = [shards[..2].to_vec(), vec!["seed".to_owned()]].concat();
    let message = refused(&context, &others);
    assert!(message.contains("seed: 7 and 20261120"), "{message}");

    // The same name, another script: only the plan shows it.
    context.write("model.yaml", &SCRIPT.replace("mixed", "changed"));
    run(&context, &["--shard", "1/3", "--out", "script"]);
    let others = [shards[..2].to_vec(), vec!["script".to_owned()]].concat();
    let message = refused(&context, &others);
    assert!(message.contains("plan: models' weights"), "{message}");

    let scorer = only(&context, "shards/3").join("header.json");
    let text = std::fs::read_to_string(&scorer).unwrap();
    std::fs::write(
        &scorer,
        text.replace("\"scorer_version\": 2", "\"scorer_version\": 1"),
    )
    .unwrap();
    let message = refused(&context, &shards);
    assert!(message.contains("scorer version: 2 and 1"), "{message}");
    std::fs::write(&scorer, &text).unwrap();

    std::fs::write(&scorer, &text[..text.len() / 2]).unwrap();
    let message = refused(&context, &shards);
    assert!(message.contains("header.json"), "{message}");
    std::fs::write(&scorer, &text).unwrap();

    merge(&context, &shards);
    let merged = only(&context, "merged").display().to_string();
    let output = context.run(&["merge", &merged, "--out", "twice"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("merged already"),
        "{}",
        stderr(&output)
    );
    let message = context.expect_error(2, &["merge", "nowhere"]);
    assert!(message.contains("no run `nowhere`"), "{message}");
    context.expect_error(2, &["merge"]);
}

/// Shards on unlike machines, as far as one machine can show it: the tier in header, cells and trials
/// is that of another.
#[test]
fn tiers_stay_separate_cells() {
    let context = prepared();
    let shards = shards(&context, 2);
    let directory = only(&context, "shards/2");
    let header: Value =
        serde_json::from_str(&std::fs::read_to_string(directory.join("header.json")).unwrap())
            .unwrap();
    let tier = header["fingerprint"]["tier"].as_str().unwrap().to_owned();
    for file in ["header.json", "trials.jsonl", "executions.jsonl"] {
        let path = directory.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut text = text.replace(&format!("\"{tier}\""), "\"gpu-other-80g\"");
        for cell in header["cells"].as_array().unwrap() {
            let id = cell["id"].as_str().unwrap();
            text = text.replace(id, &format!("{}ffff", &id[..12]));
        }
        let whole = header["whole"]["plan_hash"].as_str().unwrap();
        text = text.replace(whole, &whole.chars().rev().collect::<String>());
        std::fs::write(path, text).unwrap();
    }
    merge(&context, &shards);
    let merged = only(&context, "merged");
    let output = context.run(&["report", merged.to_str().unwrap(), "--format", "json"]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cells = summary["cells"].as_array().unwrap();
    let cases = |tier: &str| -> u64 {
        let own = cells.iter().filter(|cell| {
            cell["tier"] == tier
                && cell["suite"] == "weather"
                && cell["model"] == "scripted:model.yaml"
                && cell["constraint"] == "off"
        });
        own.map(|cell| cell["cases"].as_u64().unwrap()).sum()
    };
    assert_eq!((cases(&tier), cases("gpu-other-80g")), (23, 23));
    let advice = summary["advice"].as_str().unwrap();
    let named = [format!("on {tier}: "), "on gpu-other-80g: ".to_owned()];
    assert!(
        named.iter().any(|words| advice.starts_with(words)),
        "{advice}"
    );
    let text = context.run(&["report", merged.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("gpu-other-80g"), "{text}");
}

#[test]
fn samples_are_split_and_limits_hold_for_each_shard() {
    let context = prepared();
    let sample = ["--sample", "10"];
    run(&context, &[&sample[..], &["--out", "whole"]].concat());
    let mut shards = Vec::new();
    for index in 1..=2 {
        let (shard, out) = (format!("{index}/2"), format!("shards/{index}"));
        run(
            &context,
            &[&sample[..], &["--shard", &shard, "--out", &out]].concat(),
        );
        shards.push(out);
    }
    merge(&context, &shards);
    assert_eq!(canonical(&context, "merged"), canonical(&context, "whole"));

    let mut limited = RUN.to_vec();
    limited.retain(|flag| *flag != "-q");
    limited.extend([
        "--shard",
        "1/2",
        "--limit-requests",
        "5",
        "--out",
        "limited",
    ]);
    let output = context.run(&limited);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output)
            .contains("--limit-requests holds for this shard alone; 2 shards may take 2 times"),
        "{}",
        stderr(&output)
    );
    run(&context, &["--shard", "2/2", "--out", "second"]);
    let output = context.run(&["merge", "limited", "second", "--out", "merged2"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("have no result"),
        "{}",
        stderr(&output)
    );

    for (flags, code, words) in [
        (
            &["--until-decided"][..],
            2,
            "cannot see whether the whole is decided",
        ),
        (
            &["--cassette", "c.jsonl"][..],
            2,
            "a cassette has one writer",
        ),
        (&["--shard", "60/60"][..], 5, "49 are selected"),
        (&["--shard", "3/2"][..], 2, "nor `auto`"),
        (&["--shard", "auto/0"][..], 2, "nor `auto`"),
    ] {
        let mut all = RUN.to_vec();
        all.extend(["--shard", "1/2"]);
        if flags[0] == "--shard" {
            all.truncate(RUN.len());
        }
        all.extend(flags);
        let message = context.expect_error(code, &all);
        assert!(message.contains(words), "{flags:?}: {message}");
    }
}

#[test]
fn auto_is_asked_for_and_told_by_the_engine() {
    let context = prepared();
    let shard = |flag: &str, variables: &[(&str, &str)]| {
        let mut command = context.command(RUN);
        command.args(["--shard", flag, "--out", "auto"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let found = std::fs::read_dir(context.path("auto"))
            .ok()
            .and_then(|mut runs| {
                let path = runs.next()?.ok()?.path();
                let text = std::fs::read_to_string(path.join("header.json")).ok()?;
                let header: Value = serde_json::from_str(&text).ok()?;
                let setting = header["settings"]
                    .as_array()?
                    .iter()
                    .find(|it| it["name"] == "shard")?;
                Some((
                    header["shard"].clone(),
                    setting["value"].clone(),
                    setting["origin"].clone(),
                ))
            });
        let _ = std::fs::remove_dir_all(context.path("auto"));
        (output.status.code(), found, stderr(&output))
    };
    let (_, found, text) = shard("auto", &[("CI_NODE_INDEX", "2"), ("CI_NODE_TOTAL", "4")]);
    let (part, value, origin) = found.unwrap_or_else(|| panic!("{text}"));
    assert_eq!(part, serde_json::json!([2, 4]));
    assert_eq!(value, "2/4");
    assert_eq!(origin, "flag --shard, auto: GitLab (CI_NODE_INDEX 2)");
    let (_, found, text) = shard("auto/8", &[("JOB_COMPLETION_INDEX", "7")]);
    assert_eq!(
        found.unwrap_or_else(|| panic!("{text}")).0,
        serde_json::json!([8, 8])
    );
    for (flag, variables, words) in [
        ("auto", &[][..], "finds nothing that says which part"),
        (
            "auto",
            &[("JOB_COMPLETION_INDEX", "0")][..],
            "not of how many",
        ),
        (
            "auto/3",
            &[("CIRCLE_NODE_INDEX", "0"), ("CIRCLE_NODE_TOTAL", "4")][..],
            "contradicts",
        ),
    ] {
        let (code, found, text) = shard(flag, variables);
        assert_eq!((code, found.is_none()), (Some(2), true), "{text}");
        assert!(text.contains(words), "{flag}: {text}");
    }
    // Without `auto` no variable makes a run smaller.
    let mut command = context.command(RUN);
    command
        .args(["--out", "plain"])
        .env("CI_NODE_INDEX", "2")
        .env("CI_NODE_TOTAL", "4");
    command.output().unwrap();
    let text = std::fs::read_to_string(only(&context, "plain").join("header.json")).unwrap();
    let header: Value = serde_json::from_str(&text).unwrap();
    assert!(header["shard"].is_null());
    // Other commands do not care.
    let mut command = context.command(&["config", "show", "--shard", "auto"]);
    assert_eq!(command.output().unwrap().status.code(), Some(0));
}
