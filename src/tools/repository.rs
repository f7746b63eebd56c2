//! Git repositories of a sandbox, replayed from data.
//!
//! Data in: a history as data, a folder, the local `git`. Data out: a repository whose hashes are
//! the same on every machine. Invariants: `git` sees no settings, hooks or variables of the user;
//! the history goes through `fast-import`, so nothing in it is ever an argument or a command.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::types::server::{Commit, Repository, split_author};

/// The author of commits that name none.
const AUTHOR: (&str, &str) = ("Sample Author", "author@example.org");
/// Date of the first commit that names none: 1 January 2026, 12:00 UTC.
const FIRST_SECOND: i64 = 1_767_268_800;
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// Variables under which `git` does the same everywhere: no settings of user or system, one
/// author, one date. A server in a sandbox with repositories gets them too, so that the hashes of
/// commits that a model makes are the same everywhere.
pub(super) fn fixed_variables(
    repositories: &BTreeMap<String, Repository>,
) -> Vec<(String, String)> {
    let last = repositories
        .values()
        .flat_map(|repository| seconds(&repository.commits))
        .max()
        .unwrap_or(FIRST_SECOND);
    let date = format!("{} +0000", last + HOUR);
    let (name, address) = AUTHOR;
    [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", NULL_FILE),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", name),
        ("GIT_AUTHOR_EMAIL", address),
        ("GIT_AUTHOR_DATE", &date),
        ("GIT_COMMITTER_NAME", name),
        ("GIT_COMMITTER_EMAIL", address),
        ("GIT_COMMITTER_DATE", &date),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

#[cfg(windows)]
const NULL_FILE: &str = "NUL";
#[cfg(not(windows))]
const NULL_FILE: &str = "/dev/null";

/// Makes the repository in `folder`, which must not exist yet or be empty.
pub(super) fn build(git: &Path, folder: &Path, repository: &Repository) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let branch = repository.checkout.as_deref().unwrap_or("main");
    // Without a template there are no hooks; SHA-1 is asked for because a later git may not
    // take it by default.
    run(
        git,
        folder,
        &[
            "init",
            "--quiet",
            "--template=",
            "--object-format=sha1",
            &format!("--initial-branch={branch}"),
        ],
        b"",
    )?;
    run(
        git,
        folder,
        &["fast-import", "--quiet"],
        &history(&repository.commits)?,
    )?;
    let tip = format!("refs/heads/{branch}");
    run(git, folder, &["reset", "--quiet", "--hard", &tip], b"")?;
    change(folder, &repository.staged)?;
    if !repository.staged.is_empty() {
        run(git, folder, &["add", "--all"], b"")?;
    }
    change(folder, &repository.unstaged)
}

fn change(folder: &Path, files: &BTreeMap<String, Option<String>>) -> Result<(), String> {
    for (name, content) in files {
        let file = folder.join(name);
        let done = match content {
            None => std::fs::remove_file(&file),
            Some(content) => file
                .parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::write(&file, content)),
        };
        done.map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

/// Seconds since 1970 of each commit.
fn seconds(commits: &[Commit]) -> impl Iterator<Item = i64> {
    commits.iter().zip(0_i64..).map(|(commit, index)| {
        let written = commit.date.as_ref().and_then(|date| date.parse().ok());
        written.map_or(FIRST_SECOND + DAY * index, |date: jiff::Timestamp| {
            date.as_second()
        })
    })
}

/// The commits as a stream for `git fast-import`.
fn history(commits: &[Commit]) -> Result<Vec<u8>, String> {
    let mut stream = String::from("feature done\n");
    let mut branch = "main";
    for (index, (commit, second)) in commits.iter().zip(seconds(commits)).enumerate() {
        let mark = index + 1;
        let is_new = commit.branch.as_deref().is_some_and(|name| {
            name != branch
                && commits[..index]
                    .iter()
                    .all(|earlier| earlier.branch.as_deref() != Some(name))
                && name != "main"
        });
        branch = commit.branch.as_deref().unwrap_or(branch);
        let (name, address) = match &commit.author {
            Some(author) => split_author(author)
                .ok_or_else(|| format!("author `{author}` is not `Name <address>`"))?,
            None => AUTHOR,
        };
        let message = format!("{}\n", commit.message.trim_end());
        let _ = write!(
            stream,
            "commit refs/heads/{branch}\nmark :{mark}\nauthor {name} <{address}> {second} +0000\n\
             committer {name} <{address}> {second} +0000\ndata {}\n{message}\n",
            message.len()
        );
        if is_new && index > 0 {
            let _ = writeln!(stream, "from :{index}");
        }
        for (path, content) in &commit.files {
            let _ = match content {
                Some(content) => write!(
                    stream,
                    "M 100644 inline {path}\ndata {}\n{content}\n",
                    content.len()
                ),
                None => writeln!(stream, "D {path}"),
            };
        }
        if let Some(tag) = &commit.tag {
            let _ = write!(stream, "reset refs/tags/{tag}\nfrom :{mark}\n\n");
        }
    }
    stream.push_str("done\n");
    Ok(stream.into_bytes())
}

/// Runs `git` in `folder` with nothing of the caller's environment.
fn run(git: &Path, folder: &Path, arguments: &[&str], input: &[u8]) -> Result<(), String> {
    let what = arguments.first().copied().unwrap_or_default();
    let failed = |reason: String| format!("git {what}: {reason}");
    let mut command = Command::new(git);
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(fixed_variables(&BTreeMap::new()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let written = child
        .stdin
        .take()
        .map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let output = child
        .wait_with_output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(failed(if words.is_empty() {
            output.status.to_string()
        } else {
            words
        }));
    }
    written.map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn git() -> std::path::PathBuf {
        which::which("git").expect("git, which building this needs anyway")
    }

    fn repository() -> Repository {
        serde_json::from_value(json!({
            "commits": [
                {"message": "Start", "files": {"list.txt": "one\n", "old/a b.txt": "x"}},
                {"message": "Grow", "author": "Mara Lind <mara@example.org>",
                 "date": "2026-03-02T09:00:00Z", "files": {"list.txt": "one\ntwo\n", "old/a b.txt": null}, "tag": "v1"},
                {"message": "Try", "branch": "side", "files": {"side.txt": "s"}},
                {"message": "Go on\n\nWith a body.", "branch": "main", "files": {"main.txt": "m"}}],
            "staged": {"list.txt": "one\ntwo\nthree\n"},
            "unstaged": {"main.txt": "changed", "notes/new.txt": "n"}}))
        .unwrap()
    }

    fn ask(folder: &Path, arguments: &[&str]) -> String {
        let output = Command::new(git())
            .args(arguments)
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn a_history_is_replayed_with_the_same_hashes() {
        let base = tempfile::tempdir().unwrap();
        let heads = ["one", "two"].map(|name| {
            let folder = base.path().join(name);
            build(&git(), &folder, &repository()).unwrap();
            ask(&folder, &["rev-parse", "main", "side", "v1"])
        });
        assert_eq!(heads[0], heads[1]);
        // Written down once: other hashes mean that another history was made.
        insta::assert_snapshot!(heads[0], @r"
        672d0ff5db2a04f7e5ef582df2fdeb6d9ee39695
        360df4c00e6c4f0aa635a5a42c3da784775cba36
        6019ee0ddb164f93f327e4458c70c1fe3ab9f7a6
        ");
        let folder = base.path().join("one");
        assert_eq!(
            ask(&folder, &["log", "--format=%an %s %cI", "main"]),
            "Sample Author Go on 2026-01-04T12:00:00Z\nMara Lind Grow 2026-03-02T09:00:00Z\nSample Author Start 2026-01-01T12:00:00Z\n"
        );
        assert_eq!(ask(&folder, &["log", "--format=%s", "v1..side"]), "Try\n");
        assert_eq!(
            ask(&folder, &["status", "--short", "--branch"]),
            "## main\nM  list.txt\n M main.txt\n?? notes/\n"
        );
        assert!(!folder.join("old").exists() && !folder.join(".git/hooks").exists());
    }

    #[test]
    fn what_git_refuses_is_told() {
        let base = tempfile::tempdir().unwrap();
        let mut other = repository();
        other.checkout = Some("nowhere".to_owned());
        let error = build(&git(), &base.path().join("x"), &other).unwrap_err();
        assert!(error.starts_with("git reset: "), "{error}");
        let error = build(Path::new("/no/git"), &base.path().join("y"), &repository()).unwrap_err();
        assert!(error.starts_with("git init: "), "{error}");
    }

    #[test]
    fn a_server_commits_an_hour_after_the_last() {
        let repositories = BTreeMap::from([("shop".to_owned(), repository())]);
        let variables: BTreeMap<String, String> =
            fixed_variables(&repositories).into_iter().collect();
        assert_eq!(variables["GIT_AUTHOR_DATE"], "1772445600 +0000");
        assert_eq!(variables["GIT_COMMITTER_NAME"], "Sample Author");
    }
}
