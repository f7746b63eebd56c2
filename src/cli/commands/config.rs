//! `toolbench config show`: every setting with its value and origin.

use super::{App, CliError, Status, print, print_json};
use crate::cli::args::ConfigCommand;
use crate::config::{GATE_KEYS, KEYS};

/// Prints the settings in force.
pub(super) fn config(app: &App, command: ConfigCommand) -> Result<Status, CliError> {
    let ConfigCommand::Show { settings } = command;
    let resolved = app.resolve(&settings)?;
    app.settings(&resolved)?;
    let gate = app.resolve_gate(&settings.layer)?;
    super::gate::rules(&gate)?;
    let all = [resolved.settings.clone(), gate.settings].concat();
    if resolved.text("format") == Some("json") {
        print_json(&all)?;
        return Ok(Status::Complete);
    }
    let width = KEYS
        .iter()
        .chain(GATE_KEYS)
        .map(|key| key.name.len())
        .max()
        .unwrap_or_default();
    let values = all.iter().map(|setting| setting.value.len());
    let value_width = values.max().unwrap_or_default().min(40);
    let mut out = String::new();
    for key in KEYS.iter().chain(GATE_KEYS) {
        let setting = all.iter().find(|setting| setting.name == key.name);
        let (value, origin) = setting.map_or(("-", "not set"), |setting| {
            (setting.value.as_str(), setting.origin.as_str())
        });
        out.push_str(&format!(
            "{:width$}  {value:value_width$}  {origin}\n",
            key.name
        ));
    }
    print(&out)?;
    Ok(Status::Complete)
}
