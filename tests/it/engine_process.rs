//! The engine's process: what its death, its silence and its stand-ins do to requests.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use toolbench::model::Provider;
use toolbench::model::engine::{EngineCommand, EngineProvider};
use toolbench::types::generate::{ConstraintText, GenerateRequest, ProviderError};

use crate::engine_live::*;

#[cfg(unix)]
#[tokio::test]
async fn a_crash_costs_one_request() {
    let Some(path) = model_path("smollm2") else {
        return;
    };
    let provider = provider(settings(&path));
    let before = ask(&provider, &request("smollm2", SUM)).await;
    let endless = GenerateRequest {
        constraint: Some(ConstraintText::Lark("start: /[a-z ]{3000}/".to_owned())),
        max_tokens: 900,
        ..request("smollm2", WEATHER)
    };
    let none = CancellationToken::new();
    let pid = provider.pid().unwrap();
    let (crashed, ()) = tokio::join!(provider.generate(&endless, &none), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let status = std::process::Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    });
    let error = crashed.unwrap_err();
    assert!(
        matches!(&error, ProviderError::Crashed { detail } if detail.contains("signal: 9")),
        "{error:?}"
    );
    let after = ask(&provider, &request("smollm2", SUM)).await;
    assert_eq!(content(&before), content(&after));
    assert_ne!(provider.pid(), Some(pid));
    provider.close().await;
    assert_eq!(provider.pid(), None);
}

/// Providers whose child is a shell script.
#[cfg(unix)]
mod stand_in {
    use super::*;

    const LOADED: &str = r#"read line; echo '{"type":"loaded","id":1,"protocol":1,"facts":{}}'"#;
    const REPLY: &str = r#"{"type":"reply","id":2,"reply":{"text":"hi","stop_reason":"stop","usage":{},"timing":{},"constrained":false}}"#;

    fn script(text: &str) -> EngineProvider {
        let command = EngineCommand::new("/bin/sh", ["-c", text], std::env::vars_os());
        EngineProvider::new(command, settings(std::path::Path::new("any.gguf")))
    }

    #[tokio::test]
    async fn any_protocol_speaker_will_do() {
        let provider = script(&format!("{LOADED}; read line; echo '{REPLY}'; cat"));
        assert_eq!(ask(&provider, &request("any", SUM)).await.text, "hi");
        provider.close().await;
    }

    #[tokio::test]
    async fn last_words_are_passed_on() {
        let provider = script(&format!(
            "{LOADED}; read line; echo 'GGML_ASSERT(n > 0) failed' >&2; kill -ABRT $$"
        ));
        let error = provider
            .generate(&request("any", SUM), &CancellationToken::new())
            .await
            .unwrap_err();
        let ProviderError::Crashed { detail } = error else {
            panic!("{error:?}");
        };
        assert!(detail.contains("signal: 6"), "{detail}");
        assert!(detail.contains("GGML_ASSERT(n > 0) failed"), "{detail}");
    }

    #[tokio::test]
    async fn another_protocol_is_refused() {
        let provider =
            script(r#"read line; echo '{"type":"loaded","id":1,"protocol":9,"facts":{}}'; cat"#);
        let error = provider.describe().await.unwrap_err();
        assert!(matches!(error, ProviderError::Rejected { .. }), "{error:?}");
        let provider = script("read line; echo Hello; cat");
        let error = provider.describe().await.unwrap_err();
        assert!(
            matches!(&error, ProviderError::Crashed { detail } if detail.contains("broke the protocol")),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_child_that_ignores_its_limit_is_killed_and_replaced() {
        let provider = script(&format!("{LOADED}; exec sleep 600"));
        let limited = GenerateRequest {
            time_limit_ms: 0,
            ..request("any", SUM)
        };
        provider.describe().await.unwrap();
        let pid = provider.pid();
        let error = provider
            .generate(&limited, &CancellationToken::new())
            .await
            .unwrap_err();
        assert_eq!(error, ProviderError::Timeout { limit_ms: 0 });
        // The script answers id 1 only, so the second child never loads; but it is another one.
        let _ = tokio::time::timeout(Duration::from_secs(1), provider.describe()).await;
        assert_ne!(provider.pid(), pid);
    }

    #[tokio::test]
    async fn a_child_that_ignores_a_cancellation_is_killed() {
        let provider = script(&format!("{LOADED}; exec sleep 600"));
        provider.describe().await.unwrap();
        let cancel = CancellationToken::new();
        cancel.cancel();
        let error = provider
            .generate(&request("any", SUM), &cancel)
            .await
            .unwrap_err();
        assert_eq!(error, ProviderError::Cancelled);
        let cancel = CancellationToken::new();
        let request = request("any", SUM);
        let (result, ()) = tokio::join!(provider.generate(&request, &cancel), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            cancel.cancel();
        });
        assert_eq!(result.unwrap_err(), ProviderError::Cancelled);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_says_so() {
        let command = EngineCommand::own("/nonexistent/toolbench", std::env::vars_os());
        let provider = EngineProvider::new(command, settings(std::path::Path::new("any.gguf")));
        let error = provider.describe().await.unwrap_err();
        assert!(
            matches!(&error, ProviderError::Crashed { detail } if detail.contains("/nonexistent/toolbench")),
            "{error:?}"
        );
    }
}
