//! Formats by name, and files that are written in one.
//!
//! Data in: `json`, `csv:trials`, `summary.md`, `junit=results.out`. Data out: a [`Format`], a
//! [`Target`]. Invariants: a name means one format wherever it is given; a file's ending names its format
//! unless another is named before `=`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;

use super::csv::Table;
use super::{Export, Json, Markdown, Reporter as _, Shown, Terminal, csv, junit, write_html};
use crate::metrics::canonical_summary;
use crate::types::did_you_mean;

/// What is written of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Tables for people.
    Terminal,
    /// The summary, as published.
    Json,
    /// The summary without any clock reading.
    Canonical,
    /// The trials, one a line.
    Jsonl,
    /// One tidy table.
    Csv(Table),
    /// Tables for pull requests and wikis.
    Markdown,
    /// The page of a run.
    Html,
    /// Test cases for continuous integration.
    Junit,
}

/// Names and what they mean; the first of several is the one shown.
const NAMES: [(&str, Format); 12] = [
    ("terminal", Format::Terminal),
    ("json", Format::Json),
    ("canonical", Format::Canonical),
    ("jsonl", Format::Jsonl),
    ("csv", Format::Csv(Table::Cells)),
    ("csv:cells", Format::Csv(Table::Cells)),
    ("csv:trials", Format::Csv(Table::Trials)),
    ("csv:tools", Format::Csv(Table::Tools)),
    ("markdown", Format::Markdown),
    ("md", Format::Markdown),
    ("html", Format::Html),
    ("junit", Format::Junit),
];

/// Ends of file names, longer ones first where one ends in another.
const ENDINGS: [(&str, Format); 12] = [
    ("canonical.json", Format::Canonical),
    ("trials.csv", Format::Csv(Table::Trials)),
    ("tools.csv", Format::Csv(Table::Tools)),
    (".csv", Format::Csv(Table::Cells)),
    (".json", Format::Json),
    (".jsonl", Format::Jsonl),
    (".ndjson", Format::Jsonl),
    (".md", Format::Markdown),
    (".markdown", Format::Markdown),
    (".html", Format::Html),
    (".xml", Format::Junit),
    (".txt", Format::Terminal),
];

impl Format {
    /// Every name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The name as written on the command line.
    pub fn as_str(self) -> &'static str {
        let found = NAMES.iter().find(|(_, format)| *format == self);
        found.map_or("", |(name, _)| name)
    }

    /// It quotes prompts, replies or tools.
    pub fn needs_content(self) -> bool {
        matches!(self, Self::Junit | Self::Html | Self::Csv(Table::Tools))
    }

    /// Writes an export. `terminal` says how tables for people look.
    pub fn write(self, export: &Export, terminal: Terminal, out: &mut dyn Write) -> io::Result<()> {
        let summary = export.summary();
        match self {
            Self::Terminal => terminal.write(summary, out),
            Self::Json => Json.write(summary, out),
            Self::Canonical => {
                let canonical = canonical_summary(export.header(), export.lines());
                serde_json::to_writer_pretty(&mut *out, &canonical)?;
                writeln!(out)
            }
            Self::Jsonl => {
                for trial in export.lines() {
                    serde_json::to_writer(&mut *out, trial)?;
                    writeln!(out)?;
                }
                Ok(())
            }
            Self::Csv(Table::Cells) => csv::cells(export, out),
            Self::Csv(Table::Trials) => csv::trials(export, out),
            Self::Csv(Table::Tools) => csv::tools(export, out),
            Self::Markdown => Markdown.write(summary, out),
            Self::Html => {
                let shown = Shown {
                    header: export.header(),
                    trials: export.lines(),
                    content: &|hash| export.content(hash),
                    truncated: export.is_truncated(),
                };
                write_html(summary, &shown, out)
            }
            Self::Junit => junit::write(export, out),
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, format)| *format).ok_or_else(|| {
            let near = did_you_mean(text, Self::names());
            let names: Vec<&str> = Self::names().collect();
            let help = near.unwrap_or_else(|| format!("the formats are {}", names.join(", ")));
            format!("unknown format `{text}`; {help}")
        })
    }
}

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is written.
    pub format: Format,
    /// Where.
    pub path: PathBuf,
}

impl FromStr for Target {
    type Err = String;

    /// `FILE`, whose ending names the format, or `FORMAT=FILE`.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_word = |name: &str| {
            let mut letters = name.chars();
            letters.clone().next().is_some() && letters.all(|c| c.is_ascii_lowercase() || c == ':')
        };
        if let Some((name, path)) = text.split_once('=')
            && is_word(name)
        {
            let format = name.parse()?;
            return if path.is_empty() {
                Err(format!("`{text}` names no file after `=`"))
            } else {
                Ok(Self {
                    format,
                    path: PathBuf::from(path),
                })
            };
        }
        let lower = text.to_lowercase();
        let found = ENDINGS.iter().find(|(ending, _)| lower.ends_with(ending));
        let Some((_, format)) = found else {
            let endings: Vec<&str> = ENDINGS.iter().map(|(ending, _)| *ending).collect();
            return Err(format!(
                "the ending of `{text}` names no format; the endings are {}, or name the format: \
                 `json={text}`",
                endings.join(", ")
            ));
        };
        Ok(Self {
            format: *format,
            path: PathBuf::from(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Result<(&'static str, String), String> {
        let found: Target = text.parse()?;
        Ok((found.format.as_str(), found.path.display().to_string()))
    }

    #[test]
    fn an_ending_or_a_word_names_the_format() {
        for (text, format, path) in [
            ("out.json", "json", "out.json"),
            ("a/b.canonical.json", "canonical", "a/b.canonical.json"),
            ("canonical.json", "canonical", "canonical.json"),
            ("x.CSV", "csv", "x.CSV"),
            ("trials.csv", "csv:trials", "trials.csv"),
            ("run-tools.csv", "csv:tools", "run-tools.csv"),
            ("results.xml", "junit", "results.xml"),
            ("junit=out.txt", "junit", "out.txt"),
            ("csv:trials=t.csv", "csv:trials", "t.csv"),
            ("md=a=b", "markdown", "a=b"),
            ("./a=b.json", "json", "./a=b.json"),
        ] {
            let expected = (format, path.to_owned());
            assert_eq!(target(text).unwrap(), expected, "{text}");
        }
        for (text, words) in [
            ("out.jsn", "names no format"),
            ("out", "names no format"),
            ("jsno=out.json", "did you mean `json`"),
            ("json=", "names no file"),
            ("", "names no format"),
        ] {
            let error = target(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn every_name_is_one_format() {
        for name in Format::names() {
            let format: Format = name.parse().unwrap();
            assert_eq!(format.as_str().parse(), Ok(format));
        }
    }
}
