//! Keys and values of headers: masked wherever they could be printed.
//!
//! Data in: values of variables. Data out: the value itself to the one place that sends it, and other
//! people's words without it. Invariants: never serialised; a server that repeats a key in its error
//! does not get it onto a screen or into a record.

use std::borrow::Cow;

/// Shorter parts of a secret are left alone: blotting them out would spoil words that mean nothing.
const SHORTEST: usize = 4;

/// A value that prints as `***` and is never serialised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// A text without this value, and without the key in `Bearer KEY`.
    fn blot<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        let parts = [
            self.0.as_str(),
            self.0.rsplit(' ').next().unwrap_or_default(),
        ];
        parts.into_iter().fold(text, |text, part| {
            if part.len() >= SHORTEST && text.contains(part) {
                Cow::Owned(text.replace(part, "***"))
            } else {
                text
            }
        })
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

/// Someone's words without any of these secrets.
pub fn masked<'a>(text: &'a str, secrets: &[Secret]) -> Cow<'a, str> {
    secrets
        .iter()
        .fold(Cow::Borrowed(text), |text, secret| secret.blot(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_the_key_with_and_without_its_scheme() {
        let secrets = [Secret::new("Bearer planted-key"), Secret::new("eu")];
        assert_eq!(
            masked(
                "no such key: planted-key (Bearer planted-key) in eu",
                &secrets
            ),
            "no such key: *** (***) in eu"
        );
        assert_eq!(format!("{secrets:?}"), "[***, ***]");
    }
}
