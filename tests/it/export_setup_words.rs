//! What a setup says beside its files: settings without a place in them, records without content.

use serde_json::Value;

use crate::export_setup::{exported, file, prepared};

/// A setting of the engine stands in a file, or among what does not come over.
#[test]
fn no_setting_is_dropped_in_silence() {
    let context = prepared();
    let mut all = vec!["run", "scripted:right.yaml", "--suite", "tiny.yaml", "-q"];
    all.extend(["--constraint", "off", "--context", "2048"]);
    all.extend(["--threads", "3", "--gpu-layers", "7"]);
    all.extend(["--flash-attention", "on", "--kv-cache-type", "q8_0"]);
    all.extend(["--max-corrections", "0"]);
    context.expect(0, &all);
    let llama = exported(&context, &["llama-server"]);
    let start = file(&llama, "start.sh");
    for flag in [
        "-t 3 ",
        "-ngl 7 ",
        "-fa on ",
        "--cache-type-k q8_0 ",
        "-c 2048 ",
    ] {
        assert!(start.contains(flag), "{flag}: {start}");
    }
    let ollama = exported(&context, &["ollama"]);
    let modelfile = file(&ollama, "Modelfile");
    for parameter in ["num_thread 3", "num_gpu 7", "num_ctx 2048"] {
        assert!(
            modelfile.contains(&format!("PARAMETER {parameter}\n")),
            "{modelfile}"
        );
    }
    let openai = exported(&context, &["openai"]);
    let said = |setup: &Value, words: &str| {
        let caveats = setup["caveats"].to_string();
        assert!(caveats.contains(words), "{words}: {caveats}");
    };
    said(
        &ollama,
        "flash attention of the run was on: set OLLAMA_FLASH_ATTENTION",
    );
    said(
        &ollama,
        "cache of the run was q8_0: set OLLAMA_KV_CACHE_TYPE",
    );
    for words in [
        "context of the run was 2048 tokens",
        "threads of the run was 3",
        "GPU of the run was 7",
    ] {
        said(&openai, words);
    }
    for setup in [&llama, &ollama, &openai] {
        said(setup, "the run corrected nothing");
        // Scripted replies come without a template: nobody filled one in.
        let caveats = setup["caveats"].to_string();
        assert!(
            !caveats.contains("filled in the chat template"),
            "{caveats}"
        );
    }
    assert!(file(&llama, "NOTES.md").contains("of 3 cases"));
}

#[test]
fn a_record_without_content_says_that_it_has_none() {
    for retain in ["calls", "none"] {
        let context = prepared();
        context.expect(
            0,
            &[
                "run",
                "scripted:right.yaml",
                "--suite",
                "tiny.yaml",
                "--constraint",
                "off",
                "--retain",
                retain,
                "-q",
            ],
        );
        let error = context.expect_error(2, &["export-setup", "--for", "openai"]);
        assert!(error.contains(&format!("--retain {retain}")), "{error}");
        assert!(error.contains("--retain full"), "{error}");
    }
}
