//! From a weights file to a model that can answer.
//!
//! Data in: [`EngineSettings`]. Data out: the loaded model, a context, [`ModelFacts`]. Invariants:
//! a broken file, an unknown setting or a lack of memory is refused before llama.cpp sees the
//! file, because llama.cpp may abort the process over it.

use std::num::NonZeroU32;
use std::path::Path;

use llama_cpp_2::context::params::{KvCacheType as LlamaCacheType, LlamaContextParams};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::{LlamaBackendDeviceType, list_llama_ggml_backend_devices};

use super::constraint::Grammars;
use super::decoder::{Decoder, Guard};
use super::generate::Generator;
use super::vocabulary::Vocabulary;
use super::{host, log};
use crate::clock::Stopwatch;
use crate::types::facts::{Mechanism, ModelFacts, Wire};
use crate::types::generate::ProviderError;
use crate::types::protocol::EngineSettings;
use crate::weights::gguf::{Header, read_header};
use crate::weights::memory::{self, BATCH_TOKENS, ContextShape, Estimate, KvCacheType};

/// What is settled before anything is loaded.
pub(super) struct Plan {
    settings: EngineSettings,
    header: Header,
    estimate: Estimate,
    shape: ContextShape,
    threads: u32,
    gpu_layers: u32,
}

/// Checks the settings, the file and the memory.
pub(super) fn plan(
    settings: EngineSettings,
    backend: &LlamaBackend,
) -> Result<Plan, ProviderError> {
    let kv_cache_type = cache_type(settings.kv_cache_type.as_deref())?;
    let header = read_header(Path::new(&settings.path)).map_err(|error| ProviderError::Load {
        detail: error.to_string(),
    })?;
    let context_tokens = match settings.context_tokens {
        0 => header.context_length_tokens.unwrap_or(4096),
        tokens => tokens,
    };
    let gpu_layers = if backend.supports_gpu_offload() {
        // One more than the blocks: the output layer counts too.
        settings.gpu_layers.unwrap_or(header.block_count + 1)
    } else {
        0
    };
    let shape = ContextShape {
        context_tokens,
        kv_cache_type,
        flash_attention: settings.flash_attention != Some(false),
    };
    let estimate = memory::estimate(&header, shape);
    if !settings.ignore_memory_check
        && let Some(free) = free_memory_bytes(gpu_layers)
        && let Some(detail) = memory::refusal(&estimate, free, shape)
    {
        return Err(ProviderError::NotEnoughMemory { detail });
    }
    Ok(Plan {
        threads: match settings.threads {
            0 => host::default_threads(),
            threads => threads,
        },
        settings,
        header,
        estimate,
        shape,
        gpu_layers,
    })
}

fn cache_type(name: Option<&str>) -> Result<KvCacheType, ProviderError> {
    let Some(name) = name else {
        return Ok(KvCacheType::F16);
    };
    KvCacheType::from_name(name).ok_or_else(|| ProviderError::Rejected {
        detail: format!(
            "unknown key and value cache type `{name}`; known are {}",
            KvCacheType::ALL.map(KvCacheType::name).join(", ")
        ),
    })
}

/// Memory of the system, and of the devices when layers go there.
fn free_memory_bytes(gpu_layers: u32) -> Option<u64> {
    let system = host::available_memory_bytes()?;
    if gpu_layers == 0 {
        return Some(system);
    }
    let devices: u64 = list_llama_ggml_backend_devices()
        .iter()
        .filter(|device| device.device_type == LlamaBackendDeviceType::Gpu)
        .map(|device| device.memory_free as u64)
        .sum();
    Some(system.saturating_add(devices))
}

/// Loads the weights.
pub(super) fn load_weights(
    plan: &Plan,
    backend: &LlamaBackend,
) -> Result<LlamaModel, ProviderError> {
    let parameters = LlamaModelParams::default().with_n_gpu_layers(plan.gpu_layers);
    log::take_errors();
    LlamaModel::load_from_file(backend, &plan.settings.path, &parameters)
        .map_err(|error| load_error(&plan.settings.path, &error))
}

/// Builds everything that answers requests, and says what was loaded.
pub(super) fn ready<'model>(
    plan: &Plan,
    model: &'model LlamaModel,
    backend: &LlamaBackend,
    watch: Stopwatch,
) -> Result<(Generator<'model>, ModelFacts), ProviderError> {
    let context = model
        .new_context(backend, context_parameters(plan))
        .map_err(|error| load_error(&plan.settings.path, &error))?;
    let vocabulary = Vocabulary::new(model);
    let mut decoder = Decoder::new(context);
    warm_up(&mut decoder, &vocabulary)?;
    let load_ms = watch.elapsed_ms();
    let grammar_watch = Stopwatch::start();
    let grammars = Grammars::new(&vocabulary.token_table())
        .map_err(|detail| ProviderError::Load { detail })?;
    let facts = ModelFacts {
        load_ms: Some(load_ms),
        grammar_setup_ms: Some(grammar_watch.elapsed_ms()),
        ..facts(plan, model, &vocabulary)
    };
    let generator = Generator::new(
        vocabulary,
        decoder,
        grammars,
        plan.shape.context_tokens,
        plan.settings.forced_tokens,
    );
    Ok((generator, facts))
}

/// Decodes one token, so that the first request does not pay for reading the weights.
fn warm_up(decoder: &mut Decoder<'_>, vocabulary: &Vocabulary<'_>) -> Result<(), ProviderError> {
    let never = std::sync::atomic::AtomicBool::new(false);
    let guard = Guard {
        watch: Stopwatch::start(),
        limit_ms: u64::MAX,
        cancelled: &never,
    };
    decoder.feed(&[vocabulary.any_token()], true, &guard)?;
    decoder.settle();
    decoder.clear()
}

fn context_parameters(plan: &Plan) -> LlamaContextParams {
    let flash_attention = match plan.settings.flash_attention {
        None => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_AUTO,
        Some(true) => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_ENABLED,
        Some(false) => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_DISABLED,
    };
    let threads = i32::try_from(plan.threads).unwrap_or(1);
    let cache = llama_cache_type(plan.shape.kv_cache_type);
    LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(plan.shape.context_tokens))
        .with_n_batch(BATCH_TOKENS)
        .with_n_ubatch(BATCH_TOKENS)
        .with_n_seq_max(1)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_flash_attention_policy(flash_attention)
        .with_type_k(cache)
        .with_type_v(cache)
        // Snapshots hold the sliding window as it was at the end of the prefix, so the cache
        // need not keep what has slid out.
        .with_swa_full(false)
        .with_no_perf(true)
}

fn llama_cache_type(kind: KvCacheType) -> LlamaCacheType {
    match kind {
        KvCacheType::F32 => LlamaCacheType::F32,
        KvCacheType::F16 => LlamaCacheType::F16,
        KvCacheType::Bf16 => LlamaCacheType::BF16,
        KvCacheType::Q8_0 => LlamaCacheType::Q8_0,
        KvCacheType::Q5_1 => LlamaCacheType::Q5_1,
        KvCacheType::Q5_0 => LlamaCacheType::Q5_0,
        KvCacheType::Q4_1 => LlamaCacheType::Q4_1,
        KvCacheType::Q4_0 => LlamaCacheType::Q4_0,
    }
}

fn facts(plan: &Plan, model: &LlamaModel, vocabulary: &Vocabulary<'_>) -> ModelFacts {
    let header = &plan.header;
    let file_name = Path::new(&plan.settings.path)
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    ModelFacts {
        provider: "engine".to_owned(),
        reported_name: header.name.clone().or(file_name).unwrap_or_default(),
        architecture: Some(header.architecture.clone()),
        quantisation: header.quantisation.clone(),
        parameters: Some(model.n_params()),
        file_bytes: Some(header.file_bytes),
        trained_context_tokens: Some(model.n_ctx_train()),
        context_tokens: plan.shape.context_tokens,
        chat_template: header.chat_template.clone(),
        bos_token: vocabulary.bos_text(),
        eos_token: vocabulary.eos_text(),
        adds_bos: vocabulary.adds_bos(),
        wires: vec![Wire::RawText],
        mechanisms: vec![Mechanism::Llguidance],
        deterministic_when_greedy: true,
        engine_build: format!("llama.cpp {}", log::llama_version()),
        engine_system: log::system_info(),
        load_ms: None,
        grammar_setup_ms: None,
        predicted_memory_bytes: Some(plan.estimate.total_bytes()),
        peak_memory_bytes: host::peak_memory_bytes(),
        threads: Some(plan.threads),
        gpu_layers: Some(plan.gpu_layers),
        ..ModelFacts::default()
    }
}

/// llama.cpp's error codes say nothing; what it logged does.
fn load_error(path: &str, error: &dyn std::fmt::Display) -> ProviderError {
    let reasons = log::take_errors();
    let detail = if reasons.is_empty() {
        format!("`{path}`: {error}")
    } else {
        format!("`{path}`: {}", reasons.join("; "))
    };
    ProviderError::Load { detail }
}
