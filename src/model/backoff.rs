//! When a request that failed is sent again, and what a failure's words mean.
//!
//! Data in: a status, headers, a server's words. Data out: the error by its name, and the pause
//! before another try. Invariants: only faults of transport are repeated; pauses are bounded and
//! never equal for two requests that failed together; nothing is decided by a model's name.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::types::ProviderError;

/// Most characters of a server's words in a message.
const MOST_WORDS: usize = 400;
/// First pause before a repetition; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause, also where the server asks for a longer one: the request fails then.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// One failed sending.
pub(super) struct Fault {
    pub(super) error: ProviderError,
    /// When the server says to come back.
    pub(super) after: Option<Duration>,
    /// Another try may help.
    pub(super) transient: bool,
}

impl Fault {
    /// Nothing more is to be tried.
    pub(super) fn last(error: ProviderError) -> Self {
        Self {
            error,
            after: None,
            transient: false,
        }
    }

    /// How long to wait before another try; `None` where none is due. Half of it is chance, so that
    /// requests that failed together do not come back together.
    pub(super) fn pause(&self, retries: u32) -> Option<Duration> {
        if !self.transient {
            return None;
        }
        if let Some(after) = self.after {
            return (after <= LONGEST_PAUSE).then(|| after.mul_f64(1.0 + 0.1 * fastrand::f64()));
        }
        let most = FIRST_PAUSE
            .saturating_mul(1 << retries.min(10))
            .min(LONGEST_PAUSE);
        Some(most.mul_f64(0.5 + 0.5 * fastrand::f64()))
    }
}

/// What a status and a server's words come to.
pub(super) fn refusal(
    status: StatusCode,
    headers: &HeaderMap,
    body: &str,
    key_variable: Option<&str>,
) -> Fault {
    let after = retry_after(headers);
    let words = words_of(body);
    let detail = format!("{status}: {words}");
    let error = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ProviderError::Unauthorised {
            detail: format!("{detail}; {}", how_to_pass_a_key(key_variable)),
        },
        StatusCode::TOO_MANY_REQUESTS => ProviderError::RateLimited {
            detail: match after {
                Some(after) => format!("{detail}; come back in {} s", after.as_secs_f64().ceil()),
                None => detail,
            },
        },
        status if status.is_server_error() && is_out_of_memory(&words) => {
            ProviderError::NotEnoughMemory {
                detail: format!(
                    "the server has not enough memory for the model ({detail}); try a smaller \
                     quantisation or model, a smaller `--context`, or end other models there"
                ),
            }
        }
        StatusCode::REQUEST_TIMEOUT => ProviderError::Server { detail },
        status if status.is_server_error() => ProviderError::Server { detail },
        _ if is_too_long(body) => ProviderError::PromptTooLong { detail: words },
        _ => ProviderError::Rejected { detail },
    };
    let transient = matches!(
        error,
        ProviderError::RateLimited { .. } | ProviderError::Server { .. }
    );
    Fault {
        transient: transient && status != StatusCode::NOT_IMPLEMENTED,
        error,
        after,
    }
}

fn how_to_pass_a_key(key_variable: Option<&str>) -> String {
    match key_variable {
        Some(name) => format!("put a valid key into the variable {name}"),
        None => "name the variable that holds the key: `key-env` of the model in toolbench.toml"
            .to_owned(),
    }
}

/// The server's process could not get the memory it needs, in the words of those that say so.
pub(super) fn is_out_of_memory(words: &str) -> bool {
    let words = words.to_lowercase();
    [
        "out of memory",
        "more system memory",
        "insufficient memory",
        "failed to allocate",
        "not enough memory",
        "cudamalloc failed",
    ]
    .iter()
    .any(|said| words.contains(said))
}

/// The prompt is longer than the context, in the codes and words of those that say so.
fn is_too_long(body: &str) -> bool {
    let body = body.to_lowercase();
    [
        "context_length_exceeded",
        "exceed_context_size",
        "maximum context length",
        "exceeds the available context",
        "exceeds the context",
        "context window",
        "prompt is too long",
    ]
    .iter()
    .any(|said| body.contains(said))
}

/// `Retry-After`: seconds, or a date, which is taken against the server's own `Date`, since clocks
/// differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let value = text(RETRY_AFTER)?.trim();
    let seconds: f64 = if let Ok(seconds) = value.parse() {
        seconds
    } else {
        let then = jiff::fmt::rfc2822::parse(value).ok()?;
        let now = jiff::fmt::rfc2822::parse(text(DATE)?.trim()).ok()?;
        (then.timestamp().as_second() - now.timestamp().as_second()).max(0) as f64
    };
    (0.0..86_400.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

/// The beginning of a server's own words, on one line; a JSON error's message where there is one.
pub(super) fn words_of(body: &str) -> String {
    let message = serde_json::from_str::<Value>(body).ok().and_then(|value| {
        [
            "/error/message",
            "/error",
            "/message",
            "/detail",
            "/detail/0/msg",
            "/0/error/message",
        ]
        .iter()
        .find_map(|pointer| value.pointer(pointer)?.as_str().map(str::to_owned))
    });
    let text = message.unwrap_or_else(|| body.to_owned());
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_WORDS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None if line.is_empty() => "no further words".to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = reqwest::header::HeaderName::from_static(name);
                (name, value.parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_servers_own_clock() {
        let seconds = |pairs: &[(&'static str, &str)]| {
            retry_after(&headers(pairs)).map(|after| after.as_secs_f64())
        };
        assert_eq!(seconds(&[("retry-after", "2")]), Some(2.0));
        assert_eq!(seconds(&[("retry-after", "0.5")]), Some(0.5));
        assert_eq!(
            seconds(&[
                ("retry-after", "Fri, 20 Nov 2026 10:00:07 GMT"),
                ("date", "Fri, 20 Nov 2026 10:00:00 GMT"),
            ]),
            Some(7.0)
        );
        // A date that has passed means now; one without the server's clock, a negative or an
        // endless wait mean nothing.
        assert_eq!(
            seconds(&[
                ("retry-after", "Fri, 20 Nov 2026 09:00:00 GMT"),
                ("date", "Fri, 20 Nov 2026 10:00:00 GMT"),
            ]),
            Some(0.0)
        );
        for value in ["Fri, 20 Nov 2026 10:00:07 GMT", "-1", "1e9", "soon", "NaN"] {
            assert_eq!(seconds(&[("retry-after", value)]), None, "{value}");
        }
    }

    #[test]
    fn a_status_and_its_words_are_one_error() {
        let of = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            refusal(status, &HeaderMap::new(), body, Some("THE_KEY"))
        };
        for (status, body, found, transient) in [
            (401, "{}", "not authorised", false),
            (403, r#"{"error":"no"}"#, "THE_KEY", false),
            (429, "{}", "rate limited", true),
            (500, "{}", "server error: 500", true),
            (501, "{}", "server error: 501", false),
            (
                503,
                r#"{"error":{"message":"Loading model"}}"#,
                "Loading model",
                true,
            ),
            (
                500,
                r#"{"error":"model requires more system memory (9 GiB) than is available (2 GiB)"}"#,
                "smaller quantisation",
                false,
            ),
            (
                400,
                r#"{"error":{"code":"context_length_exceeded","message":"too many"}}"#,
                "does not fit the context: too many",
                false,
            ),
            (
                400,
                r#"{"detail":[{"msg":"field required"}]}"#,
                "rejected: 400 Bad Request: field required",
                false,
            ),
            (404, "", "no further words", false),
        ] {
            let fault = of(status, body);
            assert!(
                fault.error.to_string().contains(found),
                "{status}: {}",
                fault.error
            );
            assert_eq!(fault.transient, transient, "{status}");
            assert_eq!(fault.pause(0).is_some(), transient, "{status}");
        }
    }

    #[test]
    fn pauses_grow_are_bounded_and_differ() {
        let fault = |after| Fault {
            error: ProviderError::Server {
                detail: String::new(),
            },
            after,
            transient: true,
        };
        let pauses: Vec<f64> = (0..64)
            .map(|_| fault(None).pause(3).unwrap().as_secs_f64())
            .collect();
        assert!(pauses.iter().all(|pause| (2.0..=4.0).contains(pause)));
        assert!(
            pauses
                .windows(2)
                .any(|pair| (pair[0] - pair[1]).abs() > 1e-6)
        );
        assert!(fault(None).pause(u32::MAX).unwrap() <= LONGEST_PAUSE);
        assert!(fault(Some(Duration::from_hours(1))).pause(0).is_none());
    }
}
