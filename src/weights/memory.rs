//! How much memory a model needs at a given context, before it is loaded.
//!
//! Data in: a [`Header`], a context in tokens, the type of the key and value cache. Data out: an
//! [`Estimate`] with each part, and the text that refuses a model that does not fit.
//!
//! The formula, in bytes:
//!
//! ```text
//! weights  = bytes of all tensors (of all parts, when the file is split)
//! cells    = context rounded up to 256; layers with a sliding window keep at most
//!            window + batch cells, rounded up to 256
//! kv cache = sum over layers of cells × kv heads × (key length + value length) × cache type
//! compute  = (batch × (6 × embedding + 2 × feed forward) + vocabulary) × 4
//!            + heads × batch × cells × 4 without flash attention (the scores of one layer)
//! reserve  = 32 MiB + 900 a vocabulary entry (token table and grammar slices) + 3 % of the rest
//! ```
//!
//! `batch` is [`BATCH_TOKENS`], the batch the engine decodes prompts in. llama.cpp also sets
//! aside, but never touches, logits for every token of a batch; they are not counted. Weights that
//! it repacks for the CPU are counted once, although the pages of the file that they came from
//! stay resident while nobody else needs the memory: what is needed is the total, what is seen as resident
//! on a processor is [`resident_on_cpu_bytes`], more by those pages (a Q4_K model of 1.1 GB: 1.5 against
//! 2.1 GB, and 2.0 to 2.3 GB were measured).

use super::gguf::Header;

/// Tokens decoded at once while computing a prompt.
pub const BATCH_TOKENS: u32 = 512;

/// Element type of the key and value cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvCacheType {
    /// 4 bytes an element.
    F32,
    /// 2 bytes an element: the default.
    F16,
    /// 2 bytes an element.
    Bf16,
    /// 34 bytes for 32 elements.
    Q8_0,
    /// 24 bytes for 32 elements.
    Q5_1,
    /// 22 bytes for 32 elements.
    Q5_0,
    /// 20 bytes for 32 elements.
    Q4_1,
    /// 18 bytes for 32 elements.
    Q4_0,
}

impl KvCacheType {
    /// All types, in the order of falling size.
    pub const ALL: [Self; 8] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q8_0,
        Self::Q5_1,
        Self::Q5_0,
        Self::Q4_1,
        Self::Q4_0,
    ];

    /// The type's name, as settings spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q5_1 => "q5_1",
            Self::Q5_0 => "q5_0",
            Self::Q4_1 => "q4_1",
            Self::Q4_0 => "q4_0",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Bytes of 32 elements.
    fn bytes_of_32(self) -> u64 {
        match self {
            Self::F32 => 128,
            Self::F16 | Self::Bf16 => 64,
            Self::Q8_0 => 34,
            Self::Q5_1 => 24,
            Self::Q5_0 => 22,
            Self::Q4_1 => 20,
            Self::Q4_0 => 18,
        }
    }
}

/// Predicted memory by part, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Estimate {
    /// The tensors.
    pub weights_bytes: u64,
    /// Keys and values of the whole context.
    pub kv_cache_bytes: u64,
    /// Intermediate results of one batch.
    pub compute_bytes: u64,
    /// Token tables, grammars, kept prefixes and what the formula does not see.
    pub reserve_bytes: u64,
}

impl Estimate {
    /// All parts together, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.weights_bytes
            .saturating_add(self.kv_cache_bytes)
            .saturating_add(self.compute_bytes)
            .saturating_add(self.reserve_bytes)
    }
}

/// What the user chose that memory depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextShape {
    /// Context window in tokens.
    pub context_tokens: u32,
    /// Element type of the key and value cache.
    pub kv_cache_type: KvCacheType,
    /// Flash attention is on, or left to the engine.
    pub flash_attention: bool,
}

/// Predicts the memory of a model at a context (see the module's formula).
pub fn estimate(header: &Header, shape: ContextShape) -> Estimate {
    let weights_bytes = header
        .tensor_bytes
        .saturating_mul(u64::from(header.split_count));
    let kv_cache_bytes = kv_cache_bytes(header, shape);
    let compute_bytes = compute_bytes(header, shape);
    let parts = weights_bytes
        .saturating_add(kv_cache_bytes)
        .saturating_add(compute_bytes);
    Estimate {
        weights_bytes,
        kv_cache_bytes,
        compute_bytes,
        reserve_bytes: header
            .vocabulary_size
            .saturating_mul(900)
            .saturating_add(32 << 20)
            .saturating_add(parts / 100 * 3),
    }
}

/// What is resident on a processor while memory is free: the matrices that are repacked lie there twice,
/// as pages of the file and as the copy.
pub fn resident_on_cpu_bytes(header: &Header, shape: ContextShape) -> u64 {
    let repacked = header
        .repacked_bytes
        .saturating_mul(u64::from(header.split_count));
    estimate(header, shape)
        .total_bytes()
        .saturating_add(repacked)
}

fn kv_cache_bytes(header: &Header, shape: ContextShape) -> u64 {
    let all = padded_cells(shape.context_tokens);
    let sliding = header.sliding_window_tokens.map_or(all, |window| {
        padded_cells(window.saturating_add(BATCH_TOKENS)).min(all)
    });
    let per_head = u64::from(header.key_length) + u64::from(header.value_length);
    (0..header.block_count as usize)
        .map(|layer| {
            let heads = header.kv_head_counts.get(layer).copied().unwrap_or(0);
            let slides = header.sliding_layers.get(layer).copied().unwrap_or(false);
            let cells = if slides { sliding } else { all };
            cells
                .saturating_mul(u64::from(heads))
                .saturating_mul(per_head)
                .saturating_mul(shape.kv_cache_type.bytes_of_32())
                / 32
        })
        .fold(0, u64::saturating_add)
}

fn compute_bytes(header: &Header, shape: ContextShape) -> u64 {
    let batch = u64::from(BATCH_TOKENS.min(shape.context_tokens));
    let widths = 6 * u64::from(header.embedding_length) + 2 * u64::from(header.feed_forward_length);
    let scores = if shape.flash_attention {
        0
    } else {
        u64::from(header.head_count)
            .saturating_mul(batch)
            .saturating_mul(padded_cells(shape.context_tokens))
    };
    batch
        .saturating_mul(widths)
        .saturating_add(header.vocabulary_size)
        .saturating_add(scores)
        .saturating_mul(4)
}

/// Cells are allotted in groups of 256.
fn padded_cells(tokens: u32) -> u64 {
    u64::from(tokens).next_multiple_of(256)
}

/// Says why a model does not fit into `free_bytes` and what can be done; `None` when it fits.
pub fn refusal(estimate: &Estimate, free_bytes: u64, shape: ContextShape) -> Option<String> {
    let need = estimate.total_bytes();
    if need <= free_bytes {
        return None;
    }
    let mut remedies = vec![format!(
        "a smaller `--context` (now {})",
        shape.context_tokens
    )];
    if matches!(
        shape.kv_cache_type,
        KvCacheType::F32 | KvCacheType::F16 | KvCacheType::Bf16
    ) {
        remedies.push("`--kv-cache-type q8_0`".to_owned());
    }
    remedies.push("a smaller quantisation".to_owned());
    remedies.push("a smaller model".to_owned());
    Some(format!(
        "not enough memory: needs about {} (weights {}, cache {}, compute {}, reserve {}), free are {}; try {}",
        readable(need),
        readable(estimate.weights_bytes),
        readable(estimate.kv_cache_bytes),
        readable(estimate.compute_bytes),
        readable(estimate.reserve_bytes),
        readable(free_bytes),
        remedies.join(", "),
    ))
}

fn readable(bytes: u64) -> String {
    if bytes >= 1 << 30 {
        format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
    } else {
        format!("{} MiB", bytes.div_ceil(1 << 20))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Qwen2.5-0.5B's shape: 24 layers, 2 key and value heads of 64.
    fn qwen() -> Header {
        Header {
            block_count: 24,
            embedding_length: 896,
            feed_forward_length: 4864,
            head_count: 14,
            kv_head_counts: vec![2; 24],
            key_length: 64,
            value_length: 64,
            sliding_layers: vec![false; 24],
            vocabulary_size: 151_936,
            split_count: 1,
            tensor_bytes: 490_000_000,
            ..Header::default()
        }
    }

    fn shape(context_tokens: u32, kv_cache_type: KvCacheType) -> ContextShape {
        ContextShape {
            context_tokens,
            kv_cache_type,
            flash_attention: true,
        }
    }

    #[test]
    fn cache_of_a_known_shape() {
        // 24 layers × 4096 cells × 2 heads × (64 + 64) × 2 bytes = 48 MiB, as llama.cpp prints it.
        let parts = estimate(&qwen(), shape(4096, KvCacheType::F16));
        assert_eq!(parts.kv_cache_bytes, 48 << 20);
        let parts = estimate(&qwen(), shape(4096, KvCacheType::Q8_0));
        assert_eq!(parts.kv_cache_bytes, (48 << 20) * 34 / 64);
    }

    #[test]
    fn repacked_matrices_are_resident_twice_on_a_processor() {
        let header = Header {
            repacked_bytes: 29_000_000,
            ..qwen()
        };
        let whole = shape(4096, KvCacheType::F16);
        let needed = estimate(&header, whole).total_bytes();
        assert_eq!(needed, estimate(&qwen(), whole).total_bytes());
        assert_eq!(resident_on_cpu_bytes(&header, whole), needed + 29_000_000);
    }

    #[test]
    fn scores_are_held_without_flash_attention() {
        let with = estimate(&qwen(), shape(4096, KvCacheType::F16));
        let without = estimate(
            &qwen(),
            ContextShape {
                flash_attention: false,
                ..shape(4096, KvCacheType::F16)
            },
        );
        assert_eq!(
            without.compute_bytes - with.compute_bytes,
            14 * 512 * 4096 * 4
        );
    }

    #[test]
    fn sliding_layers_keep_their_window_only() {
        let mut header = qwen();
        header.sliding_window_tokens = Some(512);
        header.sliding_layers = vec![true; 24];
        let parts = estimate(&header, shape(32_768, KvCacheType::F16));
        assert_eq!(parts.kv_cache_bytes, 24 * 1024 * 2 * 128 * 2);
    }

    #[test]
    fn refusal_names_the_remedies_that_are_left() {
        let full = shape(4096, KvCacheType::F16);
        let parts = estimate(&qwen(), full);
        assert_eq!(refusal(&parts, u64::MAX, full), None);
        let text = refusal(&parts, 1 << 20, full).unwrap();
        for remedy in [
            "--context",
            "--kv-cache-type q8_0",
            "quantisation",
            "smaller model",
        ] {
            assert!(text.contains(remedy), "{text}");
        }
        let text = refusal(&parts, 1 << 20, shape(4096, KvCacheType::Q8_0)).unwrap();
        assert!(!text.contains("--kv-cache-type"), "{text}");
    }

    #[test]
    fn absurd_headers_do_not_overflow() {
        let mut header = qwen();
        header.key_length = u32::MAX;
        header.kv_head_counts = vec![u32::MAX; 24];
        header.tensor_bytes = u64::MAX;
        header.split_count = u32::MAX;
        header.vocabulary_size = u64::MAX / 2;
        assert!(estimate(&header, shape(u32::MAX, KvCacheType::F32)).total_bytes() > 0);
    }

    #[test]
    fn cache_types_have_one_name_each() {
        for kind in KvCacheType::ALL {
            assert_eq!(KvCacheType::from_name(kind.name()), Some(kind));
        }
        assert_eq!(KvCacheType::from_name("q3_k"), None);
    }
}
