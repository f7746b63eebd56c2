//! Formats of strings as patterns.
//!
//! Data in: a format's name and a draft. Data out: a pattern, and whether it is exact. Invariants:
//! a pattern never leaves out what the validator accepts; formats that the validator does not
//! check in a draft are not held either.

use jsonschema::Draft;

/// How much a pattern says of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FormatPattern {
    /// The pattern, in the syntax of the grammar's engine; none where a format has no useful one.
    pub(super) pattern: Option<&'static str>,
    /// The pattern accepts just what the format does.
    pub(super) exact: bool,
}

/// Whether the validator checks a format in a draft.
pub(super) fn is_checked(draft: Draft, format: &str) -> bool {
    match format {
        "date" | "date-time" | "time" | "email" | "idn-email" | "hostname" | "ipv4" | "ipv6"
        | "regex" | "uri" => true,
        "json-pointer" | "uri-reference" | "uri-template" => draft >= Draft::Draft6,
        "iri" | "iri-reference" | "relative-json-pointer" | "idn-hostname" => {
            draft >= Draft::Draft7
        }
        "duration" | "uuid" => draft >= Draft::Draft201909,
        _ => false,
    }
}

macro_rules! date {
    () => {
        r"(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
    };
}
macro_rules! time {
    () => {
        // A leap second is one in UTC only: which local minute that is depends on the offset.
        r"(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?:[zZ]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])|23:59:60(?:\.[0-9]+)?[zZ]|(?:[01][0-9]|2[0-3]):[0-5][0-9]:60(?:\.[0-9]+)?[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    };
}
macro_rules! ipv4 {
    () => {
        r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    };
}
macro_rules! h16 {
    () => {
        "[0-9a-fA-F]{1,4}"
    };
}
macro_rules! ls32 {
    () => {
        concat!("(?:", h16!(), ":", h16!(), "|", ipv4!(), ")")
    };
}
macro_rules! ipv6 {
    () => {
        concat!(
            "(?:(?:",
            h16!(),
            ":){6}",
            ls32!(),
            "|::(?:",
            h16!(),
            ":){0,5}",
            ls32!(),
            "|",
            h16!(),
            "::(?:",
            h16!(),
            ":){0,4}",
            ls32!(),
            "|",
            h16!(),
            "(?::",
            h16!(),
            "){1}::(?:",
            h16!(),
            ":){0,3}",
            ls32!(),
            "|",
            h16!(),
            "(?::",
            h16!(),
            "){2}::(?:",
            h16!(),
            ":){0,2}",
            ls32!(),
            "|",
            h16!(),
            "(?::",
            h16!(),
            "){3}::(?:",
            h16!(),
            ":){0,1}",
            ls32!(),
            "|",
            h16!(),
            "(?::",
            h16!(),
            "){4}::",
            ls32!(),
            "|(?:",
            h16!(),
            "(?::",
            h16!(),
            "){0,5})?::",
            h16!(),
            "|(?:",
            h16!(),
            "(?::",
            h16!(),
            "){0,6})?::)"
        )
    };
}
macro_rules! host {
    () => {
        r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
    };
}
macro_rules! pointer {
    () => {
        "(?:/(?:[^/~]|~[01])*)*"
    };
}

/// The pattern of a format that is checked.
pub(super) fn pattern_of(format: &str) -> FormatPattern {
    let exact = |pattern| FormatPattern {
        pattern: Some(pattern),
        exact: true,
    };
    let wider = |pattern| FormatPattern {
        pattern: Some(pattern),
        exact: false,
    };
    match format {
        "date" => exact(concat!("^", date!(), "$")),
        "time" => wider(concat!("^", time!(), "$")),
        "date-time" => wider(concat!("^", date!(), "[tT]", time!(), "$")),
        "duration" => exact(
            r"^P(?:[0-9]+W|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)(?:T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))?|T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))$",
        ),
        "email" => wider(concat!(
            r#"^(?:[a-zA-Z0-9!#$%&'*+\-/=?\^_`{|}~]+(?:\.[a-zA-Z0-9!#$%&'*+\-/=?\^_`{|}~]+)*|"(?:[\t !#-\[\]-~]|\\[\t -~])*")@(?:"#,
            host!(),
            r"|\[",
            ipv4!(),
            r"\]|\[[iI][pP][vV]6:",
            ipv6!(),
            r"\])$"
        )),
        "idn-email" => wider("^(?s:.)+@(?s:.)+$"),
        "hostname" => wider(concat!("^", host!(), r"\.?$")),
        "ipv4" => exact(concat!("^", ipv4!(), "$")),
        "ipv6" => exact(concat!("^", ipv6!(), "$")),
        "uuid" => exact("^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"),
        "uri" => wider(
            r"^[a-zA-Z][a-zA-Z0-9+\-.]*:(?:[a-zA-Z0-9\-._~!$&'()*+,;=:@/?\[\]]|%[0-9a-fA-F]{2})*(?:#(?:[a-zA-Z0-9\-._~!$&'()*+,;=:@/?]|%[0-9a-fA-F]{2})*)?$",
        ),
        "uri-reference" => wider(
            r"^(?:[a-zA-Z0-9\-._~!$&'()*+,;=:@/?\[\]]|%[0-9a-fA-F]{2})*(?:#(?:[a-zA-Z0-9\-._~!$&'()*+,;=:@/?]|%[0-9a-fA-F]{2})*)?$",
        ),
        "iri" => wider(
            r"^[a-zA-Z][a-zA-Z0-9+\-.]*:(?:[a-zA-Z0-9\-._~!$&'()*+,;=:@/?\[\]]|[^\x00-\x7f]|%[0-9a-fA-F]{2})*(?:#(?:[a-zA-Z0-9\-._~!$&'()*+,;=:@/?]|[^\x00-\x7f]|%[0-9a-fA-F]{2})*)?$",
        ),
        "iri-reference" => wider(
            r"^(?:[a-zA-Z0-9\-._~!$&'()*+,;=:@/?\[\]]|[^\x00-\x7f]|%[0-9a-fA-F]{2})*(?:#(?:[a-zA-Z0-9\-._~!$&'()*+,;=:@/?]|[^\x00-\x7f]|%[0-9a-fA-F]{2})*)?$",
        ),
        "uri-template" => wider(r"^(?:[^{}\x00-\x20]|\{[^{}]+\})*$"),
        "json-pointer" => exact(concat!("^", pointer!(), "$")),
        "relative-json-pointer" => exact(concat!("^(?:0|[1-9][0-9]*)(?:#|", pointer!(), ")$")),
        _ => FormatPattern {
            pattern: None,
            exact: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::closed_schema::pattern;
    use serde_json::json;

    const FORMATS: [&str; 19] = [
        "date",
        "time",
        "date-time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uuid",
        "uri",
        "uri-reference",
        "iri",
        "iri-reference",
        "uri-template",
        "json-pointer",
        "relative-json-pointer",
        "regex",
        "idn-email",
        "idn-hostname",
    ];

    fn validator(format: &str) -> crate::validate::CompiledSchema {
        crate::validate::CompiledSchema::compile(&json!({"format": format})).unwrap()
    }

    /// Texts near the edge of formats, and all made of them by one change.
    fn texts() -> Vec<String> {
        let seeds = [
            "2024-02-29",
            "1900-02-28",
            "2000-02-29",
            "1999-12-31",
            "12:30:45Z",
            "23:59:60z",
            "15:59:60-08:00",
            "01:02:03.45+05:30",
            "2024-02-29T23:59:59Z",
            "P1Y2M3DT4H5M6S",
            "P4W",
            "PT1M",
            "a.b+c@example.org",
            "\"a b\"@x",
            "a@[127.0.0.1]",
            "a@[IPv6:::1]",
            "example.com",
            "a-b.c",
            "127.0.0.1",
            "255.249.199.10",
            "::1",
            "1::d6:192.168.0.1",
            "1:2:3:4:5:6:7:8",
            "fe80::a:b",
            "2eb8aa08-aa98-11ea-b4aa-73b441d16380",
            "http://a.b/c?d=e#f",
            "urn:x:y",
            "//a/b",
            "#frag",
            "http://a/é",
            "http://a/{x}/{y,z}",
            "/a~0b/~1",
            "",
            "0#",
            "1/a",
            "12",
        ];
        let mut all: Vec<String> = Vec::new();
        for seed in seeds {
            all.push(seed.to_owned());
            for (at, c) in seed.char_indices() {
                let (before, after) = (&seed[..at], &seed[at + c.len_utf8()..]);
                all.push(format!("{before}{after}"));
                for new in [
                    '0', '1', '9', 'a', 'Z', ':', '.', '-', '/', '~', '%', '#', '[', ' ', 'é', '@',
                ] {
                    all.push(format!("{before}{new}{after}"));
                    all.push(format!("{before}{new}{c}{after}"));
                }
            }
        }
        all
    }

    #[test]
    fn patterns_take_all_that_the_validator_takes_and_the_exact_ones_nothing_else() {
        let texts = texts();
        for format in FORMATS {
            let rule = pattern_of(format);
            let Some(pattern) = rule.pattern else {
                continue;
            };
            assert!(pattern::for_grammar(pattern).is_some(), "{format}");
            let regex = regex::Regex::new(pattern).unwrap();
            let validator = validator(format);
            for text in &texts {
                let valid = validator.is_valid(&json!(text));
                let matches = regex.is_match(text);
                assert!(
                    matches || !valid,
                    "{format} is valid and not taken: {text:?}"
                );
                assert!(
                    valid || !matches || !rule.exact,
                    "{format} is taken and not valid: {text:?}"
                );
            }
        }
    }

    #[test]
    fn formats_are_checked_where_the_validator_checks_them() {
        for (draft, uri) in [
            (Draft::Draft4, "http://json-schema.org/draft-04/schema#"),
            (Draft::Draft6, "http://json-schema.org/draft-06/schema#"),
            (Draft::Draft7, "http://json-schema.org/draft-07/schema#"),
            (
                Draft::Draft201909,
                "https://json-schema.org/draft/2019-09/schema",
            ),
            (
                Draft::Draft202012,
                "https://json-schema.org/draft/2020-12/schema",
            ),
        ] {
            for format in FORMATS
                .iter()
                .chain(&["idn-email", "idn-hostname", "color"])
            {
                let validator = jsonschema::options()
                    .offline()
                    .should_validate_formats(true)
                    .build(&json!({"$schema": uri, "format": format}))
                    .unwrap();
                // No format takes this text.
                let checks = !validator.is_valid(&json!("^(\\ {"));
                assert_eq!(is_checked(draft, format), checks, "{uri} {format}");
            }
        }
    }
}
