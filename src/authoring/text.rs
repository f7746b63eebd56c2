//! Texts for made arguments: by format, from a description, from a name.
//!
//! Data in: what a schema says of a string. Data out: a text to try. Invariants: deterministic and
//! total; nothing here is trusted, the schema has the last word.

/// A value of a JSON Schema format.
pub(super) fn from_format(format: &str, variant: usize) -> Option<String> {
    let number = variant % 9 + 1;
    Some(match format {
        "date" => format!("2026-03-1{number}"),
        "date-time" => format!("2026-03-1{number}T09:30:00Z"),
        "time" => format!("09:3{number}:00Z"),
        "duration" => format!("PT{number}0M"),
        "email" | "idn-email" => format!("person{number}@example.org"),
        "hostname" | "idn-hostname" => format!("host{number}.example.org"),
        "ipv4" => format!("192.0.2.{number}"),
        "ipv6" => format!("2001:db8::{number}"),
        "uri" | "uri-reference" | "iri" | "iri-reference" | "uri-template" | "url" => {
            format!("https://example.org/page{number}")
        }
        "uuid" => format!("123e4567-e89b-42d3-a456-42661417400{number}"),
        "json-pointer" => format!("/example/{number}"),
        "relative-json-pointer" => number.to_string(),
        "regex" => format!("example{number}+"),
        _ => return None,
    })
}

/// What a last word of a name usually asks for.
const USUAL: [(&[&str], &str); 6] = [
    (&["path", "directory", "dir", "folder"], "."),
    (&["file", "filename"], "example.txt"),
    (&["url", "uri", "link"], "https://example.org/page1"),
    (&["email", "mail"], "person1@example.org"),
    (&["date", "day"], "2026-03-11"),
    (&["timezone", "zone", "tz"], "UTC"),
];

/// A text from an argument's name: `example city`, `another city`.
pub(super) fn from_name(name: &str, variant: usize) -> String {
    let words = words_of(name);
    let last = words.last().map_or("", String::as_str);
    let usual = USUAL.iter().find(|(names, _)| names.contains(&last));
    let words = words.join(" ");
    match (variant, usual) {
        (0, Some((_, text))) => (*text).to_owned(),
        (variant, _) => made_up(&words, variant),
    }
}

fn made_up(words: &str, variant: usize) -> String {
    match variant {
        0 => format!("example {words}"),
        1 => format!("another {words}"),
        more => format!("example {words} {more}"),
    }
}

/// The words of a name: `repoPath`, `repo_path` and `repo-path` alike.
pub(super) fn words_of(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut lower_before = false;
    let mut open = false;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            open = false;
            lower_before = false;
            continue;
        }
        if !open || (c.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        open = true;
        lower_before = c.is_lowercase() || c.is_numeric();
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words
}

/// The first example that a description names: after `e.g.`, `such as`, `for example`.
pub(super) fn from_description(description: &str) -> Option<String> {
    let lower = description.to_ascii_lowercase();
    let markers = [
        "e.g.",
        "such as",
        "for example",
        "example:",
        "examples:",
        "for instance",
    ];
    let start = markers
        .iter()
        .filter_map(|marker| lower.find(marker).map(|at| at + marker.len()))
        .min()?;
    // Lower-casing ASCII moves no byte.
    let rest =
        description[start..].trim_start_matches(|c: char| c.is_whitespace() || ",:(=".contains(c));
    let quote = rest.chars().next()?;
    let closing = match quote {
        '"' | '\'' | '`' => Some(quote),
        '“' => Some('”'),
        '‘' => Some('’'),
        _ => None,
    };
    let found = match closing {
        Some(closing) => rest[quote.len_utf8()..].split(closing).next()?,
        None => rest
            .split(|c: char| c.is_whitespace() || ",;)]}\"".contains(c))
            .next()?
            .trim_end_matches(['.', ':']),
    };
    (!found.is_empty() && found.chars().count() <= 200).then(|| found.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_name_examples() {
        for (description, found) in [
            ("City name, such as Porto", Some("Porto")),
            (
                "IANA timezone name (e.g., 'America/New_York', 'Europe/London'). Use 'UTC' else",
                Some("America/New_York"),
            ),
            (
                "Path, for example \"notes/a b.txt\".",
                Some("notes/a b.txt"),
            ),
            ("A sha (e.g. 4f2a1c).", Some("4f2a1c")),
            ("Ünïcode İ e.g. `x`", Some("x")),
            ("The city", None),
            ("such as", None),
        ] {
            assert_eq!(
                from_description(description).as_deref(),
                found,
                "{description}"
            );
        }
    }

    #[test]
    fn names_have_words() {
        assert_eq!(words_of("repo_path"), ["repo", "path"]);
        assert_eq!(words_of("repoPath"), ["repo", "path"]);
        assert_eq!(words_of("max-URL2x"), ["max", "url2x"]);
        assert_eq!(from_name("city", 0), "example city");
        assert_eq!(from_name("repoPath", 0), ".");
        assert_eq!(from_name("repoPath", 1), "another repo path");
    }
}
