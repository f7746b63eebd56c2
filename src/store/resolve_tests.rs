//! The order in which a name is resolved.

use super::*;
use crate::store::test_server::{Answer, Server};

struct Setting {
    folder: tempfile::TempDir,
    aliases: BTreeMap<String, String>,
    catalogue: Catalogue,
    presets: Presets,
    cache: Cache,
}

impl Setting {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("models"));
        std::fs::create_dir_all(cache.root()).unwrap();
        for file in ["here.gguf", "replies.yaml", "models/mine.gguf"] {
            std::fs::write(folder.path().join(file), b"GGUF").unwrap();
        }
        for name in ["smollm2:135m", "hf:o/r:Q4_0", "qwen2.5:0.5b-q8_0"] {
            let path = cache.weights_path(name);
            std::fs::write(&path, b"GGUF").unwrap();
            cache.record(name, &path, "test", "abc").unwrap();
        }
        let aliases = [
            ("fast", "smollm2"),
            ("llama3", "here.gguf"),
            ("away", "phi3.5"),
        ];
        let aliases = aliases
            .map(|(name, target)| (name.to_owned(), target.to_owned()))
            .into();
        Self {
            folder,
            aliases,
            catalogue: Catalogue::built_in().unwrap(),
            presets: Presets::built_in().unwrap(),
            cache,
        }
    }

    async fn resolve(&self, name: &str, base: Option<&str>) -> Result<Resolved, ResolveError> {
        let inputs = ResolveInputs {
            aliases: &self.aliases,
            catalogue: &self.catalogue,
            cache: &self.cache,
            presets: &self.presets,
            ollama_base: base,
            working_directory: self.folder.path(),
        };
        resolve(name, &inputs).await
    }
}

/// What a resolution is, in a word and its main part.
fn short(resolved: &Resolved) -> String {
    match &resolved.resolution {
        Resolution::GgufFile {
            path,
            how: Found::Path,
        } => {
            format!("path {}", path.file_name().unwrap().to_string_lossy())
        }
        Resolution::GgufFile {
            how: Found::Cached(model),
            ..
        } => format!("cached {}", model.name),
        Resolution::Scripted { path } => {
            format!("scripted {}", path.file_name().unwrap().to_string_lossy())
        }
        Resolution::Ollama { tag, .. } => format!("ollama {tag}"),
        Resolution::Served {
            preset,
            model,
            base_url,
        } => format!("{preset} {model} {}", base_url.as_deref().unwrap_or("-")),
        Resolution::Command { command } => format!("command {command}"),
        Resolution::Hybrid { legs } => format!("hybrid {}", legs.join(" then ")),
        Resolution::NeedsPull { entry } => format!("pull {}", entry.name),
        Resolution::NeedsHub { repo, quant } => {
            format!("hub {repo} {}", quant.as_deref().unwrap_or("-"))
        }
    }
}

fn fake_ollama() -> Server {
    Server::start(|request| {
        match request.path.as_str() {
        "/api/tags" => Answer::ok(
            br#"{"models":[{"name":"phi3.5:latest"},{"name":"smollm2:latest"},{"name":"own:7b-q4"}]}"#,
        ),
        _ => Answer::status(404),
    }
    })
}

#[tokio::test]
async fn names_resolve_in_the_stated_order() {
    let setting = Setting::new();
    let ollama = fake_ollama();
    for (name, meant) in [
        // An alias beats everything, also a catalogue name.
        ("fast", "cached smollm2:135m"),
        ("llama3", "path here.gguf"),
        ("away", "ollama phi3.5:latest"),
        ("here.gguf", "path here.gguf"),
        ("hf:o/r", "hub o/r -"),
        ("hf:o/r:Q8_0", "hub o/r Q8_0"),
        ("hf:o/r:Q4_0", "cached hf:o/r:Q4_0"),
        ("hf:o/r:m-Q4_0.gguf", "hub o/r m-Q4_0.gguf"),
        // A cached GGUF beats Ollama's tag of the same name.
        ("smollm2", "cached smollm2:135m"),
        ("mine", "cached mine"),
        ("qwen2.5:0.5b-q8_0", "cached qwen2.5:0.5b-q8_0"),
        // Ollama's tag beats the catalogue; tags hold colons.
        ("phi3.5", "ollama phi3.5:latest"),
        ("own:7b-q4", "ollama own:7b-q4"),
        ("gemma2", "pull gemma2:9b"),
        ("gemma2:2b", "pull gemma2:2b"),
        ("scripted:replies.yaml", "scripted replies.yaml"),
        ("ollama:smollm2", "ollama smollm2:latest"),
        ("engine:smollm2", "cached smollm2:135m"),
        ("engine:phi3.5", "pull phi3.5:3.8b"),
        ("openai:gpt:x", "openai gpt:x -"),
        ("vllm:o/m@http://h:1/v1", "vllm o/m http://h:1/v1"),
        ("llama-server:", "llama-server  -"),
        // A family of the catalogue is called like this preset: its tags stay what they were.
        ("mistral:7b", "pull mistral:7b"),
        (
            "mistral:mistral-small-latest",
            "mistral mistral-small-latest -",
        ),
        ("command:./serve --fast", "command ./serve --fast"),
        (
            "hybrid:smollm2+openai:gpt:x",
            "hybrid smollm2 then openai:gpt:x",
        ),
    ] {
        let resolved = setting.resolve(name, Some(&ollama.base)).await.unwrap();
        assert_eq!(short(&resolved), meant, "{name}: {}", resolved.sentence);
        assert!(resolved.sentence.contains(name), "{}", resolved.sentence);
    }
}

#[tokio::test]
async fn ollama_is_not_asked_when_the_name_is_settled() {
    let setting = Setting::new();
    let ollama = fake_ollama();
    setting
        .resolve("smollm2", Some(&ollama.base))
        .await
        .unwrap();
    setting
        .resolve("engine:gemma2", Some(&ollama.base))
        .await
        .unwrap();
    assert_eq!(ollama.count(), 0);
    setting.resolve("gemma2", Some(&ollama.base)).await.unwrap();
    assert_eq!(ollama.count(), 1);
}

#[tokio::test]
async fn what_means_nothing_says_what_was_meant_and_what_to_do() {
    let setting = Setting::new();
    let ollama = fake_ollama();
    for (name, said, hint) in [
        ("phi35", "did you mean `phi3.5`", "model pull phi3.5"),
        ("gemma2:27b", "no tag `27b`", "gemma2:2b"),
        ("nowhere.gguf", "does not exist", "model list"),
        ("hf:noslash", "hf:owner/repo", "Qwen/"),
        ("hf:o/r:", "hf:owner/repo", "Qwen/"),
        ("scripted:", "no model", "scripted:"),
        ("scripted:none.yaml", "does not exist", "model list"),
        ("ollama:ph3.5", "has no `ph3.5`", "model pull ollama:ph3.5"),
        (
            "vlm:qwen",
            "did you mean `vllm:qwen`",
            "toolbench run vllm:qwen",
        ),
        ("groq:", "no model", "groq:MODEL"),
        ("zzzzzz", "unknown model `zzzzzz`", "toolbench model list"),
    ] {
        let error = setting.resolve(name, Some(&ollama.base)).await.unwrap_err();
        assert!(error.to_string().contains(said), "{name}: {error}");
        assert!(error.hint().contains(hint), "{name}: {}", error.hint());
    }
    let error = setting
        .resolve("ollama:x", Some("http://127.0.0.1:1"))
        .await
        .unwrap_err();
    assert!(matches!(error, ResolveError::NoOllama { .. }));
}
