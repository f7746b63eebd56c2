//! Which words of an argument name a path or a place in the network, and where a path leads.
//!
//! Data in: an argument's name and text, folders, the server's working directory. Data out: the word
//! that is not allowed, and why. Invariants: a path is judged both as written and with links followed,
//! because programs do either; what cannot be judged is refused; words with a slash between them, such
//! as `and/or`, are no paths.

use std::net::{IpAddr, SocketAddr};
use std::path::{Component, Path, PathBuf};

/// Words in an argument's name that say that its value is a path.
const PATH_WORDS: [&str; 16] = [
    "path",
    "file",
    "dir",
    "directory",
    "directorie",
    "folder",
    "root",
    "cwd",
    "filename",
    "filepath",
    "pathname",
    "dirname",
    "basedir",
    "rootdir",
    "workdir",
    "subdir",
];
/// Words in an argument's name that say that its value is a place in the network.
const NETWORK_WORDS: [&str; 8] = [
    "url", "uri", "host", "hostname", "domain", "endpoint", "address", "website",
];
/// Schemes of addresses that work without `//` as well.
const NETWORK_SCHEMES: [&str; 16] = [
    "http", "https", "ftp", "ftps", "sftp", "ws", "wss", "ssh", "git", "ldap", "ldaps", "smb",
    "gopher", "telnet", "mailto", "jdbc",
];
/// What may stand before a path inside a text.
const BEFORE: [char; 18] = [
    ' ', '\t', '\n', '\r', '"', '\'', '`', '=', ',', ';', '(', '<', '>', '|', ':', '@', '[', '{',
];

/// Where paths may lie.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// One of these must hold a path.
    pub(super) roots: &'a [PathBuf],
    /// Where a relative path begins; unknown where the server was not started here.
    pub(super) working_directory: Option<&'a Path>,
}

/// Why a path is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It lies elsewhere.
    Elsewhere(String),
    /// It is relative to a folder that nobody here knows.
    Unknown(String),
}

/// The words of a name: `baseUrl`, `base_url` and `base-url` have `base` and `url`.
fn has_word(name: &str, words: &[&str]) -> bool {
    let mut spaced = String::new();
    for c in name.chars() {
        if c.is_uppercase() {
            spaced.push(' ');
        }
        spaced.extend(c.to_lowercase());
    }
    spaced
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| words.contains(&word) || words.contains(&word.trim_end_matches('s')))
}

/// Whether a value of this name is a path, whatever it looks like.
pub(super) fn is_path_name(name: &str) -> bool {
    has_word(name, &PATH_WORDS)
}

/// The place in the network that a text names.
pub(super) fn network_place<'a>(name: &str, text: &'a str) -> Option<&'a str> {
    let whole = text.trim();
    if whole.is_empty() {
        return None;
    }
    let lower = whole.to_ascii_lowercase();
    if lower.starts_with("file:") && !has_scheme(&lower) {
        let is_local = file_address(whole).is_some_and(|(host, _)| is_this_machine(host));
        return (!is_local).then_some(whole);
    }
    let is_remote_copy = lower
        .split_once(':')
        .is_some_and(|(user_host, _)| user_host.contains('@') && !user_host.contains(' '));
    let has_short_scheme = lower.split_once(':').is_some_and(|(scheme, rest)| {
        NETWORK_SCHEMES.contains(&scheme) && !rest.is_empty() && !rest.starts_with(' ')
    });
    let is_place = has_scheme(&lower)
        || has_short_scheme
        || is_remote_copy
        || lower == "localhost"
        || lower.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || has_word(name, &NETWORK_WORDS);
    if is_place {
        return Some(whole);
    }
    whole
        .split(|c: char| c.is_whitespace() || "\"'`<>()=,;".contains(c))
        .find(|word| is_host_word(&word.to_ascii_lowercase()))
}

/// An address with `://` stands in it that is not a file's.
fn has_scheme(lower: &str) -> bool {
    lower.match_indices("://").any(|(at, _)| {
        let scheme = lower[..at]
            .rsplit(|c: char| !c.is_ascii_alphanumeric() && !"+.-".contains(c))
            .next()
            .unwrap_or_default();
        !scheme.is_empty() && scheme != "file"
    })
}

/// `www.…`, `//host/…`, `\\host\share`, `host:port`, an address with its mask.
fn is_host_word(word: &str) -> bool {
    let is_named = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    if word.starts_with("www.")
        || word.strip_prefix("//").is_some_and(is_named)
        || word.strip_prefix("\\\\").is_some_and(is_named)
    {
        return true;
    }
    let (place, rest) = word.split_at(word.find('/').unwrap_or(word.len()));
    if place.parse::<SocketAddr>().is_ok() {
        return true;
    }
    if place.parse::<IpAddr>().is_ok() {
        return !rest.is_empty();
    }
    place.rsplit_once(':').is_some_and(|(host, port)| {
        let last = host.rsplit('.').next().unwrap_or_default();
        let is_domain = host.contains('.')
            && last.len() > 1
            && last.chars().all(|c| c.is_ascii_alphabetic())
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
        (host == "localhost" || is_domain) && port.parse::<u16>().is_ok()
    })
}

/// Host and path of a `file:` address.
fn file_address(text: &str) -> Option<(&str, &str)> {
    let scheme = text.get(..5)?;
    if !scheme.eq_ignore_ascii_case("file:") {
        return None;
    }
    let rest = &text[5..];
    Some(match rest.strip_prefix("//") {
        None => ("", rest),
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
    })
}

fn is_this_machine(host: &str) -> bool {
    host.is_empty() || host.eq_ignore_ascii_case("localhost")
}

/// The path of a text that leads out of its bounds. `is_path`: the text is a path whatever it looks
/// like.
pub(super) fn path_outside(bounds: Bounds<'_>, text: &str, is_path: bool) -> Option<Refusal> {
    let whole = text.trim();
    if whole.is_empty() {
        return None;
    }
    let found = outside(bounds, whole, is_path);
    if found.is_some() || !whole.contains('%') {
        return found;
    }
    // `%2e%2e%2f` is a path too once somebody has decoded it.
    outside(bounds, &decoded(whole), is_path)
}

fn outside(bounds: Bounds<'_>, whole: &str, is_path: bool) -> Option<Refusal> {
    if let Some((host, path)) = file_address(whole) {
        let elsewhere = !is_this_machine(host) || !path.starts_with('/');
        let path = decoded(path);
        return if elsewhere {
            Some(Refusal::Elsewhere(whole.to_owned()))
        } else {
            bounds.judged(&path)
        };
    }
    let begins = begins_as_path(whole);
    let refused = if begins || is_path || climbs(whole) {
        bounds.judged(whole)
    } else {
        bounds.judged_if_there(whole)
    };
    if refused.is_some() {
        return refused;
    }
    // Further paths: options (`--output=/x`), lists, commands.
    let mut before = ' ';
    for (at, letter) in whole.char_indices() {
        let starts = at > 0 && BEFORE.contains(&before) && "/~$%\\".contains(letter);
        let is_address = before == ':' && whole[at..].starts_with("//");
        before = letter;
        if !starts || is_address {
            continue;
        }
        let rest = &whole[at..];
        let word = rest
            .split(|c: char| c.is_whitespace() || "\"'`,;|<>)]}".contains(c))
            .next()
            .unwrap_or(rest);
        if word.len() > 1
            && begins_as_path(word)
            && let Some(refusal) = bounds.judged(word)
        {
            return Some(refusal);
        }
    }
    let pieces = || whole.split(|c: char| BEFORE.contains(&c));
    if let Some(refusal) = pieces()
        .filter(|word| *word != whole && climbs(word))
        .find_map(|word| bounds.judged(word))
    {
        return Some(refusal);
    }
    whole
        .to_ascii_lowercase()
        .match_indices("file:")
        .find_map(|(at, _)| {
            let word = whole.get(at..)?.split_whitespace().next()?;
            (at > 0 && word.len() > 5).then(|| outside(bounds, word, true))?
        })
}

/// From the root, from a home folder, from a variable, from a drive or a share.
fn begins_as_path(text: &str) -> bool {
    let bytes = text.as_bytes();
    let next = bytes.get(1).copied();
    let has_separator = text.contains(['/', '\\']);
    let is_one_word = !text.contains(char::is_whitespace);
    match bytes.first() {
        // `/` between blanks is a word of a sentence.
        Some(b'/') => next.is_none_or(|byte| !byte.is_ascii_whitespace()),
        Some(b'\\') => has_separator && next.is_some_and(|byte| !byte.is_ascii_whitespace()),
        Some(b'~') => {
            next.is_none()
                || next == Some(b'/')
                || (next.is_some_and(|byte| byte.is_ascii_alphabetic()) && is_one_word)
        }
        Some(b'$') => {
            next.is_some_and(|byte| byte.is_ascii_alphabetic() || b"_{(".contains(&byte))
                && (has_separator || is_one_word)
        }
        Some(b'%') => text[1..].contains('%') && has_separator,
        Some(first) if first.is_ascii_alphabetic() => {
            next == Some(b':') && matches!(bytes.get(2), Some(b'/' | b'\\'))
        }
        _ => false,
    }
}

/// A part of it is `..`.
fn climbs(text: &str) -> bool {
    text.split(['/', '\\']).any(|part| part == "..")
}

/// A relative text that could be a file's: no blanks, and an ending or a slash.
fn could_be_file(text: &str) -> bool {
    let last = text.rsplit('/').next().unwrap_or(text);
    let has_ending = last.rsplit_once('.').is_some_and(|(_, ending)| {
        (1..=5).contains(&ending.len())
            && ending.chars().all(|c| c.is_ascii_alphanumeric())
            && ending.chars().any(|c| c.is_ascii_alphabetic())
    });
    !text.contains(char::is_whitespace)
        && !text.contains("://")
        && (has_ending || text.starts_with("./") || text.starts_with('.'))
}

impl Bounds<'_> {
    /// A path, absolute or relative.
    fn judged(self, path: &str) -> Option<Refusal> {
        let elsewhere = || Some(Refusal::Elsewhere(path.to_owned()));
        if path.starts_with(['~', '$', '%']) || path.contains(['\\', '\0']) {
            return elsewhere();
        }
        let whole = if path.starts_with('/') {
            PathBuf::from(path)
        } else {
            match self.working_directory {
                Some(folder) => folder.join(path),
                None => return Some(Refusal::Unknown(path.to_owned())),
            }
        };
        if self.roots.iter().any(|root| lies_below(&whole, root)) {
            return None;
        }
        elsewhere()
    }

    /// A word that is a path only if there is something of that name.
    fn judged_if_there(self, text: &str) -> Option<Refusal> {
        let Some(folder) = self.working_directory else {
            return (could_be_file(text) && text.contains('/'))
                .then(|| Refusal::Unknown(text.to_owned()));
        };
        let is_candidate = !text.contains('\0') && (text.contains('/') || could_be_file(text));
        let path = folder.join(text);
        let is_there = std::fs::symlink_metadata(&path).is_ok()
            || (could_be_file(text)
                && text.contains('/')
                && path.parent().is_some_and(Path::is_dir));
        (is_candidate && is_there).then(|| self.judged(text))?
    }
}

/// A path lies below a root as written, and with its links followed.
fn lies_below(path: &Path, root: &Path) -> bool {
    let Some((written, own)) = normal(path).zip(normal(root)) else {
        return false;
    };
    let Some(real_root) = followed(&own) else {
        return false;
    };
    let is_below = |path: &Path| followed(path).is_some_and(|real| real.starts_with(&real_root));
    // Some programs take `..` out of the text, others follow links first.
    is_below(&written) && is_below(path)
}

/// Without `.` and `..`; `None` when it climbs above its beginning.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            other => out.push(other),
        }
    }
    Some(out)
}

/// Where a path leads: links followed part by part, what is not there as written. `None` where a link
/// leads nowhere, or cannot be read.
fn followed(path: &Path) -> Option<PathBuf> {
    let mut real = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                real.pop();
            }
            other => {
                real.push(other);
                match std::fs::symlink_metadata(&real) {
                    Ok(found) if found.file_type().is_symlink() => {
                        real = std::fs::canonicalize(&real).ok()?;
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                        return None;
                    }
                    _ => {}
                }
            }
        }
    }
    Some(real)
}

/// `%41` as `A`; what is no such code stays.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3);
        let code = digits
            .filter(|_| bytes[at] == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
