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
                "{name}: {}\n\nstage: {}, class: {}, {}\nwhat helps: {}\n",
                code.meaning(),
                text(&value["stage"]),
                text(&value["class"]),
                if code.correctable() {
                    "a correction message may be sent"
                } else {
                    "never corrected"
                },
                code.help()
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
