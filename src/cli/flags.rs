//! The settings tables as command-line flags: of everything that runs something, and of the gate.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{ConfigError, GATE_KEYS, KEYS, Key, Kind, Layer, short_name};

/// Flags of the settings table that were given on the command line.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingFlags {
    /// As a layer.
    pub(super) layer: Layer,
    /// What could not be read, reported when settings are resolved.
    pub(super) problem: Option<ConfigError>,
}

/// Flags of the gate's table.
#[derive(Clone, Debug, Default)]
pub(super) struct GateFlags(pub(super) SettingFlags);

fn augment(command: Command, keys: impl Iterator<Item = &'static Key>) -> Command {
    keys.fold(command, |command, key| {
        let mut help = key.help.to_owned();
        if let Some(default) = key.default {
            help.push_str(&format!(" [default: {default}]"));
        }
        let arg = Arg::new(key.name)
            .long(short_name(key))
            .help(help)
            .help_heading(key.heading);
        let arg = match key.kind {
            Kind::Switch => arg.action(ArgAction::SetTrue),
            Kind::List | Kind::Texts => arg.action(ArgAction::Append).value_name(key.value_name),
            _ => arg.action(ArgAction::Set).value_name(key.value_name),
        };
        command.arg(arg)
    })
}

/// The settings but those named.
fn all_but(left_out: &[&str]) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| !left_out.contains(&key.name))
}

impl SettingFlags {
    /// Flags of all settings but those named, which the command has in a form of its own or none.
    pub(super) fn augment_but(command: Command, left_out: &[&str]) -> Command {
        augment(command, all_but(left_out))
    }

    /// What was given of them.
    pub(super) fn read_but(matches: &ArgMatches, left_out: &[&str]) -> Self {
        let mut flags = Self::default();
        flags.read(matches, all_but(left_out));
        flags
    }

    fn read(&mut self, matches: &ArgMatches, keys: impl Iterator<Item = &'static Key>) {
        for key in keys {
            if matches.value_source(key.name) != Some(clap::parser::ValueSource::CommandLine) {
                continue;
            }
            let values: Vec<String> = match key.kind {
                Kind::Switch => vec![matches.get_flag(key.name).to_string()],
                _ => matches
                    .get_many::<String>(key.name)
                    .map(|values| values.cloned().collect())
                    .unwrap_or_default(),
            };
            let origin = format!("flag --{}", short_name(key));
            if let Err(problem) = self.layer.insert(key.name, values, &origin) {
                self.problem.get_or_insert(problem);
            }
        }
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        augment(command, KEYS.iter())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.read(matches, KEYS.iter());
        Ok(())
    }
}

impl Args for GateFlags {
    fn augment_args(command: Command) -> Command {
        augment(command, GATE_KEYS.iter())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for GateFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.read(matches, GATE_KEYS.iter());
        Ok(())
    }
}
