//! Arguments of `merge`, `history` and `qualify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::args::ListFormat;

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// Shards: run directories, names of runs, or folders that hold them
    #[arg(value_name = "RUN", required = true)]
    pub(super) runs: Vec<String>,
    /// Folder in which the merged run is made
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<String>,
    /// Output format, as of `report`: terminal, json, canonical, jsonl (the trials), csv, csv:trials, csv:tools, markdown, html, junit
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<String>,
}

/// Arguments of `history`.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Folder of runs; the one that runs are made in without it
    #[arg(value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
    /// Only cells of these models
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) model: Vec<String>,
    /// Only cells of these suites
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) suite: Vec<String>,
    /// Only the latest N runs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) last: Option<u32>,
    /// Output format
    #[arg(long, value_enum, default_value = "terminal")]
    pub(super) format: HistoryFormat,
}

/// Formats of `history`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum HistoryFormat {
    /// For people
    Terminal,
    /// Everything, for programs
    Json,
    /// One line for each cell of each run
    Csv,
    /// Tables for pull requests and pages
    Markdown,
}

/// Arguments of `qualify`.
#[derive(Debug, Args)]
pub(super) struct QualifyArgs {
    /// File of stages (YAML; `schemas/qualify.schema.json`)
    #[arg(value_name = "FILE", required_unless_present = "init")]
    pub(super) file: Option<PathBuf>,
    /// Write a commented starter file and stop
    #[arg(long, value_name = "NEW_FILE", conflicts_with = "file")]
    pub(super) init: Option<PathBuf>,
    /// Model instead of the file's own
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Option<String>,
    /// Say which stages would run and why, and stop
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Run this stage and all after it, also what has passed; those before must stand
    #[arg(long, value_name = "STAGE")]
    pub(super) from: Option<String>,
    /// Let stages of kind `production` run without being asked
    #[arg(long)]
    pub(super) allow_production: bool,
    /// Folder of runs and of what is known of stages
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value = "terminal")]
    pub(super) format: ListFormat,
}
