//! A command line as it may be shown: the values of keys blotted out.
//!
//! Data in: the words of a command. Data out: the same words, and what was taken out of them.
//! Invariants: nothing that stands where a key usually stands is left; a word too much may go.

/// What stands for a value that is not shown.
const MASK: &str = "***";

/// Parts of a name that say that its value is a key.
const KEY_PARTS: [&str; 7] = [
    "token",
    "secret",
    "passw",
    "auth",
    "bearer",
    "credential",
    "pwd",
];

/// The words without their keys, and the keys.
pub(super) fn without_keys<'a>(
    words: impl IntoIterator<Item = &'a str>,
) -> (Vec<String>, Vec<String>) {
    let mut shown = Vec::new();
    let mut keys = Vec::new();
    let mut is_value = false;
    for word in words {
        let is_flag = word.starts_with("--") || (word.len() == 2 && word.starts_with('-'));
        if is_value && !is_flag {
            is_value = false;
            keys.push(word.to_owned());
            shown.push(MASK.to_owned());
            continue;
        }
        let masked = masked_word(word, &mut keys);
        is_value = word.starts_with('-') && !word.contains('=') && names_key(word)
            || word.eq_ignore_ascii_case("bearer");
        shown.push(masked);
    }
    keys.retain(|key| !key.is_empty());
    (shown, keys)
}

/// `--api-key`, `OPENAI_TOKEN`, `apiKey`, `Authorization`.
fn names_key(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| {
            let is_author = word == "author" || word == "authors";
            word.ends_with("key")
                || word.ends_with("keys")
                || word == "pass"
                || (!is_author && KEY_PARTS.iter().any(|part| word.contains(part)))
        })
}

fn masked_word(word: &str, keys: &mut Vec<String>) -> String {
    if let Ok(mut value @ serde_json::Value::Object(_)) = serde_json::from_str(word) {
        mask_json(&mut value, keys);
        return value.to_string();
    }
    // A header in one word: `Authorization: Bearer …`.
    if let Some((name, value)) = word.split_once(':')
        && !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        && names_key(name)
        && !value.starts_with("//")
    {
        let value = value.trim();
        keys.push(value.strip_prefix("Bearer ").unwrap_or(value).to_owned());
        return format!("{name}: {MASK}");
    }
    let mut begin = 0;
    for (at, letter) in word.char_indices() {
        match letter {
            // From here on: a key may hold commas and further signs.
            '=' if names_key(&word[begin..at]) => {
                keys.push(word[at + 1..].to_owned());
                return format!("{}={MASK}", masked_address(&word[..at], keys));
            }
            // The query of an address goes as a whole.
            '?' if word[..at].contains("://") => break,
            ',' | ';' | '&' | '?' => begin = at + 1,
            _ => {}
        }
    }
    masked_address(word, keys)
}

/// User, password and query of an address inside a word.
fn masked_address(word: &str, keys: &mut Vec<String>) -> String {
    let Some(at) = word.find("://").map(|at| at + 3) else {
        return word.to_owned();
    };
    let (before, rest) = word.split_at(at);
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let end = rest.find('/').unwrap_or(rest.len());
    // A password may hold a slash that nobody wrote as `%2F`.
    let sign = rest[..end].rfind('@').or_else(|| {
        let has_password = rest[..end].contains(':');
        let port = rest[..end].rsplit(':').next().unwrap_or_default();
        let is_port = port.chars().all(|c| c.is_ascii_digit());
        (has_password && !is_port)
            .then(|| rest.rfind('@'))
            .flatten()
    });
    let mut out = before.to_owned();
    match sign {
        Some(sign) => {
            let user = &rest[..sign];
            keys.push(
                user.split_once(':')
                    .map_or(user, |(_, word)| word)
                    .to_owned(),
            );
            out.push_str(&format!("{MASK}{}", &rest[sign..]));
        }
        None => out.push_str(rest),
    }
    if let Some(query) = query {
        keys.extend(
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .filter(|(name, _)| names_key(name))
                .map(|(_, value)| value.to_owned()),
        );
        out.push_str(&format!("?{MASK}"));
    }
    out
}

fn mask_json(value: &mut serde_json::Value, keys: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                if names_key(name) && !field.is_object() && !field.is_array() {
                    keys.extend(field.as_str().map(str::to_owned));
                    *field = MASK.into();
                } else {
                    mask_json(field, keys);
                }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| mask_json(item, keys)),
        serde_json::Value::String(text) => *text = masked_address(text, keys),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_blotted_out_wherever_they_stand() {
        for (command, shown) in [
            (
                "python3 lc.py same --api-key=abcd1234 --token xyz789 postgres://u:pw55@h/db",
                "python3 lc.py same --api-key=*** --token *** postgres://***@h/db",
            ),
            ("s --apiKey k,1 x", "s --apiKey *** x"),
            ("s -p --password -Zk x", "s -p --password *** x"),
            ("s --auth-token --verbose", "s --auth-token --verbose"),
            ("env OPENAI_API_KEY=k1 s", "env OPENAI_API_KEY=*** s"),
            (
                "docker run -e API_KEY=k1 image",
                "docker run -e API_KEY=*** image",
            ),
            ("s --set a=1,secret=k,2", "s --set a=1,secret=***"),
            (
                "npx mcp-remote https://h/mcp?api_key=k1 --header X-Auth:k2",
                "npx mcp-remote https://h/mcp?*** --header X-Auth: ***",
            ),
            ("s --db=redis://:k1@h:1/0", "s --db=redis://***@h:1/0"),
            ("s http://u:a/b@h/x", "s http://***@h/x"),
            (
                "s {\"apiKey\":\"k1\",\"n\":1}",
                "s {\"apiKey\":\"***\",\"n\":1}",
            ),
            (
                "s http://h:80/@scope/x --author Ada",
                "s http://h:80/@scope/x --author Ada",
            ),
            (
                "node server.js /data --port 80 a=b",
                "node server.js /data --port 80 a=b",
            ),
        ] {
            assert_eq!(without_keys(command.split(' ')).0.join(" "), shown);
        }
        let (shown, keys) =
            without_keys(["s", "--header", "Authorization: Bearer k1", "--token=k2"]);
        assert_eq!(
            shown,
            ["s", "--header", "Authorization: ***", "--token=***"]
        );
        assert_eq!(keys, ["k1", "k2"]);
    }
}
