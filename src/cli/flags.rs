//! The settings table as command-line flags, for every command that runs something.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{KEYS, Key, Kind, Layer};

/// Flags of the settings table that were given on the command line.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingFlags {
    /// As a layer.
    pub(super) layer: Layer,
    /// What could not be read, reported when settings are resolved.
    pub(super) problem: Option<crate::config::ConfigError>,
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        Self::augment_but(command, &[])
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl SettingFlags {
    /// Flags of all settings but those named, which the command has in a form of its own or none.
    pub(super) fn augment_but(command: Command, left_out: &[&str]) -> Command {
        let keys = KEYS.iter().filter(|key| !left_out.contains(&key.name));
        keys.fold(command, |command, key| {
            let mut help = key.help.to_owned();
            if let Some(default) = key.default {
                help.push_str(&format!(" [default: {default}]"));
            }
            let arg = Arg::new(key.name)
                .long(key.name)
                .help(help)
                .help_heading(key.heading);
            let arg = match key.kind {
                Kind::Switch => arg.action(ArgAction::SetTrue),
                Kind::List | Kind::Texts => {
                    arg.action(ArgAction::Append).value_name(key.value_name)
                }
                _ => arg.action(ArgAction::Set).value_name(key.value_name),
            };
            command.arg(arg)
        })
    }

    /// What was given of them.
    pub(super) fn read_but(matches: &ArgMatches, left_out: &[&str]) -> Self {
        let mut flags = Self::default();
        for key in KEYS.iter().filter(|key| !left_out.contains(&key.name)) {
            flags.read(matches, key);
        }
        flags
    }

    fn read(&mut self, matches: &ArgMatches, key: &Key) {
        if matches.value_source(key.name) != Some(clap::parser::ValueSource::CommandLine) {
            return;
        }
        let values: Vec<String> = match key.kind {
            Kind::Switch => vec![matches.get_flag(key.name).to_string()],
            _ => matches
                .get_many::<String>(key.name)
                .map(|values| values.cloned().collect())
                .unwrap_or_default(),
        };
        let origin = format!("flag --{}", key.name);
        if let Err(problem) = self.layer.insert(key.name, values, &origin) {
            self.problem.get_or_insert(problem);
        }
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for key in KEYS {
            self.read(matches, key);
        }
        Ok(())
    }
}
