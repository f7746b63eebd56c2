//! Presets as data, addresses, keys and headers.

use super::*;

fn endpoint(name: &str, model: &str, wishes: &EndpointWishes) -> Result<Endpoint, PresetError> {
    let variables = BTreeMap::from([
        ("OPENAI_API_KEY".to_owned(), "planted-key".to_owned()),
        ("OTHER".to_owned(), "other-key".to_owned()),
        ("EMPTY".to_owned(), String::new()),
    ]);
    let presets = Presets::built_in().unwrap();
    presets
        .find(name)
        .unwrap()
        .endpoint(model, wishes, 4096, &variables)
}

fn at(url: &str) -> EndpointWishes {
    EndpointWishes {
        base_url: Some(url.to_owned()),
        ..EndpointWishes::default()
    }
}

#[test]
fn every_preset_can_be_asked_and_says_where_it_stands() {
    let presets = Presets::built_in().unwrap();
    for preset in presets.all() {
        assert!(
            !preset.document.is_empty() && preset.date.len() == 10,
            "{preset:?}"
        );
        let wishes = match preset.base_url {
            Some(_) => EndpointWishes::default(),
            None => at("http://127.0.0.1:1/v1"),
        };
        let endpoint = preset
            .endpoint("m", &wishes, 4096, &BTreeMap::new())
            .unwrap();
        assert_eq!(endpoint.remote, endpoint.base_url.starts_with("https://"));
        assert!(!endpoint.wires.is_empty() && endpoint.headers.is_empty());
    }
    for name in [
        "openai",
        "llama-server",
        "vllm",
        "sglang",
        "lm-studio",
        "localai",
        "llamafile",
        "text-generation-webui",
        "ollama-openai",
        "xai",
        "groq",
        "mistral",
        "deepseek",
        "openrouter",
        "huggingface",
    ] {
        assert!(presets.find(name).is_some(), "{name}");
    }
}

#[test]
fn an_address_splits_off_only_where_it_is_one() {
    assert_eq!(split_address("m"), ("m", None));
    assert_eq!(split_address("@cf/meta/m@2"), ("@cf/meta/m@2", None));
    assert_eq!(
        split_address("@cf/m@http://h:1/v1"),
        ("@cf/m", Some("http://h:1/v1"))
    );
    assert_eq!(split_address("@https://h"), ("", Some("https://h")));
}

#[test]
fn an_address_without_its_scheme_is_known_and_a_name_is_none() {
    for (text, address) in [
        ("m@127.0.0.1:8000", Some("127.0.0.1:8000")),
        ("m@localhost:8000/v1", Some("localhost:8000/v1")),
        ("@gpu-box:80", Some("gpu-box:80")),
        ("@cf/meta/m@2", None),
        ("claude@20240620", None),
        ("qwen2.5:7b", None),
        ("m@tag:latest", None),
    ] {
        assert_eq!(bare_address(text), address, "{text}");
    }
}

#[test]
fn an_address_is_completed_checked_and_told_near_or_far() {
    for (name, url, base, remote) in [
        (
            "llama-server",
            "http://localhost:9",
            "http://localhost:9/v1",
            false,
        ),
        (
            "llama-server",
            "http://[::1]:9/",
            "http://[::1]:9/v1",
            false,
        ),
        (
            "vllm",
            "http://10.0.0.7:8000/v1/",
            "http://10.0.0.7:8000/v1",
            true,
        ),
        (
            "openrouter",
            "https://proxy.example",
            "https://proxy.example/api/v1",
            true,
        ),
        (
            "vllm",
            "http://127.9.9.9:1/own/path",
            "http://127.9.9.9:1/own/path",
            false,
        ),
        (
            "anthropic",
            "http://127.0.0.1:5",
            "http://127.0.0.1:5",
            false,
        ),
    ] {
        let found = endpoint(name, "m", &at(url)).unwrap();
        assert_eq!(
            (found.base_url.as_str(), found.remote),
            (base, remote),
            "{url}"
        );
    }
    for (url, words) in [
        ("http://user:secret@host/v1", "holds a password"),
        ("ftp://host/", "no http address"),
        ("http://host/v1?key=secret", "has a query"),
        ("nonsense", "no address"),
    ] {
        let error = endpoint("vllm", "m", &at(url)).unwrap_err();
        assert!(error.message.contains(words), "{error}");
        assert!(
            url == "nonsense" || !error.message.contains("secret"),
            "{error}"
        );
    }
    let error = endpoint("openai-compatible", "m", &EndpointWishes::default()).unwrap_err();
    assert!(error.hint.contains("openai-compatible:m@http"), "{error:?}");
}

#[test]
fn keys_come_from_variables_and_print_nowhere() {
    let own = endpoint("openai", "m", &EndpointWishes::default()).unwrap();
    assert_eq!(own.headers[0].1.reveal(), "Bearer planted-key");
    assert!(!format!("{own:?}").contains("planted-key"));
    let mut wishes = EndpointWishes {
        key_env: Some("OTHER".into()),
        headers: BTreeMap::from([
            ("X-Team".into(), "blue".into()),
            ("X-Other".into(), "$OTHER".into()),
        ]),
        ..EndpointWishes::default()
    };
    let other = endpoint("openai", "m", &wishes).unwrap();
    let sent: Vec<(&str, &str)> = other
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.reveal()))
        .collect();
    assert_eq!(
        sent,
        [
            ("authorization", "Bearer other-key"),
            ("X-Other", "other-key"),
            ("X-Team", "blue")
        ]
    );
    assert_eq!(other.key_variable.as_deref(), Some("OTHER"));
    wishes.key_env = Some("EMPTY".into());
    let error = endpoint("openai", "m", &wishes).unwrap_err();
    assert!(error.message.contains("EMPTY") && error.message.contains("not set"));
    let named = Presets::built_in().unwrap();
    let variables = BTreeMap::from([("ANTHROPIC_API_KEY".to_owned(), "k".to_owned())]);
    let sent = named.find("anthropic").unwrap();
    let sent = sent
        .endpoint("m", &EndpointWishes::default(), 1, &variables)
        .unwrap();
    assert_eq!(sent.headers[0].0, "x-api-key");
}

#[test]
fn a_users_file_adds_and_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("providers.yaml");
    assert_eq!(
        Presets::with_user_file(&file).unwrap(),
        Presets::built_in().unwrap()
    );
    let mine = "version: 1\npresets:\n  - {name: mine, title: t, base-url: 'http://127.0.0.1:7/v1', protocol: chat_completions, wires: [chat], document: d, date: 2026-11-20}\n  - {name: groq, title: other, protocol: chat_completions, wires: [chat], document: d, date: 2026-11-20}\n";
    std::fs::write(&file, mine).unwrap();
    let presets = Presets::with_user_file(&file).unwrap();
    assert_eq!(presets.find("mine").unwrap().wires, [Wire::Chat]);
    assert_eq!(presets.find("groq").unwrap().title, "other");
    assert!(presets.find("vllm").is_some());
    for (text, words) in [
        (mine.replace("wires", "wire"), "unknown field"),
        (mine.replace("version: 1", "version: 9"), "version 9"),
        (mine.replace("groq", "mine"), "there twice"),
        (
            mine.replace("name: mine", "name: 'a:b'"),
            "cannot be the name",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = Presets::with_user_file(&file).unwrap_err();
        assert!(error.message.contains(words), "{error}");
    }
}
