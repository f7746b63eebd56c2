//! `toolbench explain`: what a code or a column means and what helps.

use super::{CliError, Status, print, print_json};
use crate::cli::args::ListFormat;
use crate::report::{COLUMNS, explain_column};
use crate::types::{Code, did_you_mean};

/// Explains one name, or lists all.
pub(super) fn explain(name: Option<&str>, format: ListFormat) -> Result<Status, CliError> {
    let Some(name) = name else {
        return list(format);
    };
    if let Ok(code) = name.parse::<Code>() {
        let value = code_value(code);
        match format {
            ListFormat::Json => print_json(&value)?,
            ListFormat::Terminal => print(&format!(
                "{name}: {}\n\nstage: {}, class: {}, {}\nwhat helps: {}\n{}",
                code.meaning(),
                text(&value["stage"]),
                text(&value["class"]),
                if code.correctable() {
                    "a correction message may be sent"
                } else {
                    "never corrected"
                },
                code.help(),
                example_text(name)
            ))?,
        }
        return Ok(Status::Complete);
    }
    if let Some(meaning) = explain_column(name) {
        match format {
            ListFormat::Json => {
                print_json(&serde_json::json!({"column": name, "meaning": meaning}))?;
            }
            ListFormat::Terminal => print(&format!("{name}: {meaning}\n"))?,
        }
        return Ok(Status::Complete);
    }
    let names = Code::ALL
        .iter()
        .map(|code| code.name())
        .chain(COLUMNS.iter().map(|column| column.name));
    let error = CliError::usage(format!("`{name}` is neither a code nor a column"));
    Err(match did_you_mean(name, names) {
        Some(near) => error.hint(near),
        None => error.hint("`toolbench explain` lists them all"),
    })
}

fn list(format: ListFormat) -> Result<Status, CliError> {
    if format == ListFormat::Json {
        let codes: Vec<_> = Code::ALL.iter().map(|code| code_value(*code)).collect();
        let columns: Vec<_> = COLUMNS
            .iter()
            .map(|column| {
                serde_json::json!({
                    "column": column.name, "unit": column.unit, "meaning": column.definition,
                })
            })
            .collect();
        print_json(&serde_json::json!({"codes": codes, "columns": columns}))?;
        return Ok(Status::Complete);
    }
    let mut out = String::from("Codes, in the order in which they are found:\n");
    for code in Code::ALL {
        out.push_str(&format!("  {:22} {}\n", code.name(), code.meaning()));
    }
    out.push_str("\nColumns:\n");
    for column in COLUMNS {
        out.push_str(&format!("  {:22} {}\n", column.name, column.definition));
    }
    print(&out)?;
    Ok(Status::Complete)
}

fn code_value(code: Code) -> serde_json::Value {
    serde_json::json!({
        "code": code, "stage": code.stage(), "class": code.class(),
        "correctable": code.correctable(), "meaning": code.meaning(), "help": code.help(),
    })
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Trials that get each code and near misses that do not; a test plays every one.
const EXAMPLES: &str = include_str!("../../../fixtures/codes.yaml");

/// The example of a code: what was asked, a reply that gets the code, one that does not.
fn example(code: &str) -> Option<serde_json::Value> {
    let all: serde_json::Value = serde_saphyr::from_str(EXAMPLES).ok()?;
    let entry = all["codes"]
        .as_array()?
        .iter()
        .find(|entry| entry["code"] == code)?;
    Some(serde_json::json!({
        "user": entry["case"]["user"], "replies": entry["hit"],
        "near_miss": entry["miss"], "near_miss_is": entry["found"],
    }))
}

fn example_text(code: &str) -> String {
    let Some(example) = example(code) else {
        return String::new();
    };
    let lines = |key: &str| {
        let replies = example[key].as_array().into_iter().flatten();
        let shown: Vec<String> = replies
            .map(|reply| match (reply.as_str(), reply["fault"].as_str()) {
                (Some(""), _) => "  (nothing)".to_owned(),
                (Some(text), _) => format!("  {}", text.replace('\n', "\n  ")),
                (None, Some(fault)) => format!("  ({})", fault.replace('_', " ")),
                (None, None) => format!("  {reply}"),
            })
            .collect();
        let mut out: Vec<String> = Vec::new();
        for same in shown.chunk_by(|one, two| one == two) {
            out.push(match same.len() {
                1 => same[0].clone(),
                times => format!("{}  ({times} times)", same[0]),
            });
        }
        out.join("\n")
    };
    format!(
        "\nexample, to \"{}\":\n{}\nbut this is {}:\n{}\n",
        text(&example["user"]),
        lines("replies"),
        text(&example["near_miss_is"]),
        lines("near_miss")
    )
}
