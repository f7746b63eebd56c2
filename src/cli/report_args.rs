//! Arguments of `report` and `rescore`.
//!
//! Data in: what clap parsed. Data out: the flags given as a layer over variables and files.

use clap::Args;

use super::flags::SettingFlags;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Runs: directories, names, unique beginnings, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(super) runs: Vec<String>,
    /// Output format: terminal, json, canonical, jsonl (the trials), csv, csv:trials, csv:tools, markdown, html, junit
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<String>,
    /// Also write a report to FILE; its ending names the format (.json .csv .md .xml …), or FORMAT=FILE; repeatable
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    pub(super) write: Vec<String>,
    /// Split rows by suite, category or difficulty
    #[arg(long, value_name = "KEY")]
    pub(super) by: Option<String>,
    /// Width of `tied` in points; the run's own without it
    #[arg(long, value_name = "POINTS")]
    pub(super) margin: Option<f64>,
    /// Limit on the time of a task in seconds; the run's own without it
    #[arg(long, value_name = "SECONDS")]
    pub(super) objective: Option<f64>,
    /// Folder of runs
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<String>,
    /// What is exported of each trial: full, calls or none (as `--retain` of `run`)
    #[arg(long, value_name = "WHAT")]
    pub(super) retain: Option<String>,
    /// Regular expression whose matches are blotted out of the export; repeatable
    #[arg(long, value_name = "PATTERN")]
    pub(super) redact: Vec<String>,
    /// The summary without any clock reading, for comparing two runs byte by byte
    #[arg(long)]
    pub(super) canonical: bool,
}

impl ReportArgs {
    /// The flags given, as a layer over variables and files.
    pub(super) fn flags(&self) -> SettingFlags {
        let mut flags = SettingFlags::default();
        for (name, value) in [
            ("format", &self.format),
            ("by", &self.by),
            ("out", &self.out),
        ] {
            if let Some(value) = value
                && let Err(problem) =
                    flags
                        .layer
                        .insert(name, vec![value.clone()], &format!("flag --{name}"))
            {
                flags.problem.get_or_insert(problem);
            }
        }
        add_list(&mut flags, "write", &self.write);
        flags
    }
}

/// A flag with several values, where it was given.
pub(super) fn add_list(flags: &mut SettingFlags, name: &'static str, values: &[String]) {
    if !values.is_empty()
        && let Err(problem) = flags
            .layer
            .insert(name, values.to_vec(), &format!("flag --{name}"))
    {
        flags.problem.get_or_insert(problem);
    }
}

/// Arguments of `rescore`.
#[derive(Debug, Args)]
pub(super) struct RescoreArgs {
    /// The run: a directory, a name, a unique beginning, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(super) run: String,
    /// Suites with corrected expectations, instead of the run's own snapshot
    #[arg(long, value_name = "NAME or FILE", value_delimiter = ',')]
    pub(super) suite: Vec<String>,
    /// Folder of runs
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<String>,
    /// Output format, as of `report`
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<String>,
    /// Also write a report to FILE, as `report` does
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    pub(super) write: Vec<String>,
}
