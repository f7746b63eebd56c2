//! Commands that are advised, so that they can be pasted as they stand.
//!
//! Data in: flags that were given, headers of runs. Data out: command lines. Invariants: words are quoted
//! where a shell would split or expand them; no placeholder stands in them.

use std::path::Path;

use super::sides::{Side, file, folder};
use super::{OF_REPORTS, Target};
use crate::cli::gate_args::GateArgs;
use crate::cli::host_args::HostArgs;
use crate::cli::safety_args::SafetyArgs;
use crate::config::{Kind, Layer, key, short_name};
use crate::gate::DEFAULT_NAME;
use crate::record::format::Header;
use crate::types::host::Protocol;
use crate::types::shell_word;

/// Settings of the gate that are not repeated: one is what the advice is about, the other is refused
/// beside a stored run.
const NOT_REPEATED: [&str; 2] = ["gate.on-undecided", "gate.time-budget"];

/// What the commands that are advised repeat of the one given.
pub(super) struct Repeated {
    /// Flags of the gate and the folder of runs.
    pub(super) gate: String,
    /// The folder of runs.
    pub(super) out: String,
    /// Tool servers and what may be called on them, which a run that is gone on with has to be told.
    pub(super) servers: String,
}

impl Repeated {
    pub(super) fn of(args: &GateArgs) -> Self {
        let given = args.settings.layer.values.get("out");
        let out = given.and_then(|it| it.last());
        let out = out.map_or_else(String::new, |out| format!(" --out {}", shell_word(out)));
        Self {
            gate: format!("{}{out}", flags(&args.gate.0.layer, &NOT_REPEATED)),
            out,
            servers: format!("{}{}", servers(&args.hosts), safety(&args.safety)),
        }
    }
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
            Kind::List => text.push_str(&format!(" --{flag} {}", shell_word(&values.join(",")))),
            _ => {
                for value in values {
                    text.push_str(&format!(" --{flag} {}", shell_word(value)));
                }
            }
        }
    }
    text
}

fn servers(hosts: &HostArgs) -> String {
    let bearer: Vec<String> = hosts.bearer_env.iter().cloned().collect();
    let ca: Vec<String> = hosts.ca.iter().map(|it| it.display().to_string()).collect();
    let protocol = Protocol::NAMES
        .iter()
        .filter(|(_, it)| hosts.protocol == Some(*it));
    let protocol: Vec<String> = protocol.map(|(name, _)| (*name).to_owned()).collect();
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
        ("ca", &ca),
        ("protocol", &protocol),
    ]
    .into_iter()
    .flat_map(|(flag, values)| {
        values
            .iter()
            .map(move |it| format!(" --{flag} {}", shell_word(it)))
    })
    .collect()
}

fn safety(safety: &SafetyArgs) -> String {
    let mut text = String::new();
    if !safety.allow_tool.is_empty() {
        text.push_str(&format!(
            " --allow-tool {}",
            shell_word(&safety.allow_tool.join(","))
        ));
    }
    for root in &safety.paths_under {
        text.push_str(&format!(" --paths-under {}", path(root)));
    }
    for (flag, number) in [
        (
            "max-tool-calls",
            safety.max_tool_calls.map(|it| it.to_string()),
        ),
        (
            "max-tool-bytes",
            safety.max_tool_bytes.map(|it| it.to_string()),
        ),
        (
            "max-tool-time",
            safety.max_tool_time.map(|it| it.to_string()),
        ),
    ] {
        text.extend(number.map(|number| format!(" --{flag} {number}")));
    }
    for (flag, is_given) in [
        ("allow-destructive", safety.allow_destructive),
        ("no-network", safety.no_network),
        ("dry-run-calls", safety.dry_run_calls),
        ("accept-drift", safety.accept_drift),
    ] {
        if is_given {
            text.push_str(&format!(" --{flag}"));
        }
    }
    text
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
        Some(name) => run.push_str(&format!(" --resume {}", shell_word(name))),
        None => models
            .iter()
            .for_each(|it| run.push_str(&format!(" {}", shell_word(it)))),
    }
    run.push_str(&repeated.servers);
    run.push_str(&flags(&args.settings.layer, &shaping));
    let made = args.resume.as_deref().unwrap_or("latest");
    format!("{run} && toolbench baseline save {}{out}", shell_word(made))
}

/// The command that goes on with a run and judges it.
pub(super) fn go_on(directory: &Path, repeated: &Repeated) -> String {
    format!(
        "toolbench gate --resume {}{}{}",
        path(directory),
        repeated.servers,
        repeated.gate
    )
}

pub(super) fn path(path: &Path) -> String {
    shell_word(&path.display().to_string())
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
    // The folder is that of the baseline, the names of models hold their quantisation.
    const SAID: [&str; 8] = [
        "suite",
        "out",
        "quant",
        "format",
        "write",
        "by",
        "margin",
        "objective",
    ];
    let mut text = String::from("toolbench gate");
    for model in &header.models {
        text.push_str(&format!(" {}", shell_word(&model.name)));
    }
    text.push_str(&format!(
        " --suite {}",
        shell_word(&header.selection.join(","))
    ));
    for setting in &header.settings {
        let name = setting.name.as_str();
        if !setting.origin.starts_with("flag") || SAID.contains(&name) {
            continue;
        }
        let is_switch = key(name).is_some_and(|key| matches!(key.kind, Kind::Switch));
        if is_switch {
            text.push_str(&format!(" --{name}"));
        } else {
            text.push_str(&format!(" --{name} {}", shell_word(&setting.value)));
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
        assert_eq!(shell_word("scripted:model.yaml"), "scripted:model.yaml");
        assert_eq!(shell_word("command:python3 m.py"), "'command:python3 m.py'");
    }
}
