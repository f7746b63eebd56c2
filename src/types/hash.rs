//! Content addresses: SHA-256 over canonical JSON, so equal content has one name everywhere.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Lower-case hex of a SHA-256.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct ContentHash(pub String);

impl ContentHash {
    /// Hash of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(to_hex(&Sha256::digest(bytes)))
    }

    /// Hash of a value's canonical JSON (sorted keys, so the order of keys in a file is no change).
    pub fn of_value<T: Serialize>(value: &T) -> Self {
        let json = serde_json::to_value(value).unwrap_or(Value::Null);
        Self::of_bytes(canonical_json(&json).as_bytes())
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl std::fmt::Display for ContentHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// JSON with keys sorted at every level and no white space.
pub fn canonical_json(value: &Value) -> String {
    fn sort(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by(|a, b| a.0.cmp(b.0));
                Value::Object(
                    entries
                        .into_iter()
                        .map(|(key, value)| (key.clone(), sort(value)))
                        .collect(),
                )
            }
            Value::Array(items) => Value::Array(items.iter().map(sort).collect()),
            other => other.clone(),
        }
    }
    sort(value).to_string()
}

/// A seed from the run's seed, a case and a trial: the same for every model and dialect, so that
/// compared cells draw alike.
pub fn trial_seed(run_seed: u64, suite: &str, case: &str, trial: u32) -> u64 {
    let digest =
        Sha256::digest(format!("{run_seed}\u{0}{suite}\u{0}{case}\u{0}{trial}").as_bytes());
    let mut first = [0_u8; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_is_no_difference() {
        let a: Value = serde_json::from_str(r#"{"b":1,"a":{"d":[1,2],"c":null}}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"a":{"c":null,"d":[1,2]},"b":1}"#).unwrap();
        assert_eq!(canonical_json(&a), canonical_json(&b));
        assert_eq!(ContentHash::of_value(&a), ContentHash::of_value(&b));
    }

    #[test]
    fn sha256_of_the_empty_string() {
        assert_eq!(
            ContentHash::of_bytes(b"").0,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn seeds_differ_by_case_and_trial() {
        let seed = trial_seed(7, "weather", "a", 0);
        assert_eq!(seed, trial_seed(7, "weather", "a", 0));
        assert_ne!(seed, trial_seed(7, "weather", "b", 0));
        assert_ne!(seed, trial_seed(7, "weather", "a", 1));
        assert_ne!(seed, trial_seed(8, "weather", "a", 0));
    }
}
