//! Commands that are advised, so that they can be pasted as they stand.
//!
//! Data in: flags that were given, headers of runs. Data out: command lines. Invariants: words are quoted
//! where a shell would split or expand them; no placeholder stands in them.

use std::borrow::Cow;
use std::path::Path;

use super::sides::{Side, file, folder};
use super::{OF_REPORTS, Target};
use crate::cli::gate_args::GateArgs;
use crate::cli::host_args::HostArgs;
use crate::config::{Kind, Layer, key, short_name};
use crate::gate::DEFAULT_NAME;
use crate::record::format::Header;

/// Settings of the gate that are not repeated: one is what the advice is about, the other is refused
/// beside a stored run.
const NOT_REPEATED: [&str; 2] = ["gate.on-undecided", "gate.time-budget"];

/// What the commands that are advised repeat of the one given.
pub(super) struct Repeated {
    /// Flags of the gate and the folder of runs.
    pub(super) gate: String,
    /// The folder of runs.
    pub(super) out: String,
}

impl Repeated {
    pub(super) fn of(args: &GateArgs) -> Self {
        let given = args.settings.layer.values.get("out");
        let out = given.and_then(|it| it.last());
        let out = out.map_or_else(String::new, |out| format!(" --out {}", word(out)));
        Self {
            gate: format!("{}{out}", flags(&args.gate.0.layer, &NOT_REPEATED)),
            out,
        }
    }
}

/// A word as a shell reads it.
fn word(text: &str) -> Cow<'_, str> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@+,%".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    shlex::try_quote(text).unwrap_or(Cow::Borrowed(text))
}

/// Flags as they were given, each with a blank before it.
fn flags(layer: &Layer, left_out: &[&str]) -> String {
    let mut text = String::new();
    for (name, values) in &layer.values {
        let Some(key) = key(name).filter(|_| !left_out.contains(&name.as_str())) else {
            continue;
        };
        let flag = short_name(key);
        match key.kind {
            Kind::Switch => text.push_str(&format!(" --{flag}")),
            Kind::List => text.push_str(&format!(" --{flag} {}", word(&values.join(",")))),
            _ => {
                for value in values {
                    text.push_str(&format!(" --{flag} {}", word(value)));
                }
            }
        }
    }
    text
}

fn servers(hosts: &HostArgs) -> String {
    let bearer: Vec<String> = hosts.bearer_env.iter().cloned().collect();
    [
        ("stdio", &hosts.stdio),
        ("http", &hosts.http),
        ("ws", &hosts.ws),
        ("grpc", &hosts.grpc),
        ("rest", &hosts.rest),
        ("openapi", &hosts.openapi),
        ("mock", &hosts.mock),
        ("mcp-config", &hosts.mcp_config),
        ("header", &hosts.header),
        ("bearer-env", &bearer),
    ]
    .into_iter()
    .flat_map(|(flag, values)| {
        values
            .iter()
            .map(move |it| format!(" --{flag} {}", word(it)))
    })
    .collect()
}

/// The command that makes a baseline of what was to be judged.
pub(super) fn first_baseline(target: &Target, args: &GateArgs, repeated: &Repeated) -> String {
    let out = &repeated.out;
    let models = match target {
        Target::Stored(directory) => {
            return format!("toolbench baseline save {}{out}", path(directory));
        }
        Target::Made(models) => models,
    };
    let shaping: Vec<&str> = OF_REPORTS
        .iter()
        .copied()
        .filter(|it| *it != "out")
        .collect();
    let mut run = String::from("toolbench run");
    match &args.resume {
        Some(name) => run.push_str(&format!(" --resume {}", word(name))),
        None => models
            .iter()
            .for_each(|it| run.push_str(&format!(" {}", word(it)))),
    }
    run.push_str(&servers(&args.hosts));
    run.push_str(&flags(&args.settings.layer, &shaping));
    let made = args.resume.as_deref().unwrap_or("latest");
    format!("{run} && toolbench baseline save {}{out}", word(made))
}

/// The command that goes on with a run and judges it.
pub(super) fn go_on(directory: &Path, repeated: &Repeated) -> String {
    format!(
        "toolbench gate --resume {}{}",
        path(directory),
        repeated.gate
    )
}

fn path(path: &Path) -> String {
    word(&path.display().to_string()).into_owned()
}

/// The command that puts a run in place of what it was compared with, where there is one: a file in
/// the folder of baselines is updated, one elsewhere is saved there under its name.
pub(super) fn replace(
    side: &Side,
    out: &Path,
    directory: &Path,
    repeated: &Repeated,
) -> Option<String> {
    if !side.is_file {
        return None;
    }
    let stem = side.path.file_stem()?.to_str()?;
    let saved = file(out, stem).ok()?;
    let verb = if saved.is_file() && same_folder(&side.path, &folder(out)) {
        "update"
    } else if saved.is_file() {
        // Another baseline has that name.
        return None;
    } else {
        "save"
    };
    Some(format!(
        "toolbench baseline {verb} {}{}{}",
        path(directory),
        name_flag(stem),
        repeated.out
    ))
}

/// The file lies in this folder, however either is written.
pub(super) fn same_folder(file: &Path, folder: &Path) -> bool {
    let parent = file.parent().filter(|it| !it.as_os_str().is_empty());
    let real = |path: &Path| path.canonicalize().ok();
    let found = real(parent.unwrap_or(Path::new(".")));
    found.is_some() && found == real(folder)
}

/// ` --name NAME`, where it is not the one taken without.
pub(in crate::cli) fn name_flag(name: &str) -> String {
    if name == DEFAULT_NAME {
        String::new()
    } else {
        format!(" --name {name}")
    }
}

/// The command that makes such a run again and judges it.
pub(in crate::cli) fn gate_again(header: &Header) -> String {
    const SAID: [&str; 6] = ["suite", "format", "write", "by", "margin", "objective"];
    let mut text = String::from("toolbench gate");
    for model in &header.models {
        text.push_str(&format!(" {}", word(&model.name)));
    }
    text.push_str(&format!(" --suite {}", word(&header.selection.join(","))));
    for setting in &header.settings {
        let name = setting.name.as_str();
        if !setting.origin.starts_with("flag") || SAID.contains(&name) {
            continue;
        }
        let is_switch = key(name).is_some_and(|key| matches!(key.kind, Kind::Switch));
        if is_switch {
            text.push_str(&format!(" --{name}"));
        } else {
            text.push_str(&format!(" --{name} {}", word(&setting.value)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_that_were_given() {
        let mut layer = Layer::default();
        for (name, values) in [
            ("gate.min-success", vec!["60"]),
            ("gate.min-category", vec!["a b=90", "odd=80"]),
            ("gate.strict", vec!["true"]),
            ("gate.on-undecided", vec!["warn"]),
        ] {
            let values = values.into_iter().map(str::to_owned).collect();
            layer.insert(name, values, "flag").unwrap();
        }
        assert_eq!(
            flags(&layer, &NOT_REPEATED),
            " --min-category 'a b=90' --min-category odd=80 --min-success 60 --strict"
        );
        assert_eq!(word("scripted:model.yaml"), "scripted:model.yaml");
        assert_eq!(word("command:python3 m.py"), "'command:python3 m.py'");
    }
}
