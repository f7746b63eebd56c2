//! The header of a GGUF file (versions 2 and 3).
//!
//! Data in: a path. Data out: [`Header`], or one [`GgufError`] that says where and why.
//! Invariants: never panics, never allocates more than the file holds, and a file that is shorter
//! than its own tensors is refused here, before llama.cpp maps it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::formats::{ROWS_TOGETHER, file_type_name, is_repacked, tensor_block};
use super::reader::{Reader, Value};

/// Tensors start at multiples of this unless the file says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;
/// More dimensions than ggml has.
const MOST_DIMENSIONS: u32 = 4;
/// All texts of one header together; real headers stay under a megabyte.
const MOST_TEXT_BYTES: usize = 64 << 20;

/// Why a weights file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` {reason} (at byte {offset})", path.display())]
pub struct GgufError {
    /// The file.
    pub path: PathBuf,
    /// Where in the file, in bytes from its start.
    pub offset: u64,
    /// What is wrong, as the rest of a sentence that starts with the path.
    pub reason: String,
}

/// What a weights file says of itself.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Header {
    /// GGUF version, 2 or 3.
    pub version: u32,
    /// `general.architecture` (`llama`, `qwen2`, `gemma3`, …).
    pub architecture: String,
    /// `general.name`.
    pub name: Option<String>,
    /// Quantisation by `general.file_type` (`Q4_K_M`).
    pub quantisation: Option<String>,
    /// Parameters, counted from the tensor shapes.
    pub parameters: u64,
    /// Context the model was trained for, in tokens.
    pub context_length_tokens: Option<u32>,
    /// Layers.
    pub block_count: u32,
    /// Width of the residual stream.
    pub embedding_length: u32,
    /// Widest feed-forward layer.
    pub feed_forward_length: u32,
    /// Attention heads.
    pub head_count: u32,
    /// Key and value heads of each layer; 0 for a layer without attention.
    pub kv_head_counts: Vec<u32>,
    /// Elements of one key head.
    pub key_length: u32,
    /// Elements of one value head.
    pub value_length: u32,
    /// Window of sliding-window attention in tokens.
    pub sliding_window_tokens: Option<u32>,
    /// For each layer, whether it attends through the sliding window.
    pub sliding_layers: Vec<bool>,
    /// Entries of the vocabulary.
    pub vocabulary_size: u64,
    /// Jinja chat template.
    pub chat_template: Option<String>,
    /// Text of the begin-of-sequence token.
    pub bos_token: Option<String>,
    /// Text of the end-of-sequence token.
    pub eos_token: Option<String>,
    /// `tokenizer.ggml.add_bos_token`, where it is said.
    pub adds_bos: Option<bool>,
    /// Files the weights are split into; 1 for most.
    pub split_count: u32,
    /// Bytes of all tensors in this file.
    pub tensor_bytes: u64,
    /// Bytes of those matrices in this file that llama.cpp copies into another order for a processor.
    pub repacked_bytes: u64,
    /// Bytes of this file.
    pub file_bytes: u64,
}

/// Reads the header of a GGUF file and checks that the file holds what it announces.
pub fn read_header(path: &Path) -> Result<Header, GgufError> {
    let mut reader = Reader::open(path)?;
    let version = read_magic(&mut reader)?;
    // A tensor's entry takes at least 24 bytes, a key with its value at least 13.
    let tensor_count = reader.count("tensors", 24)?;
    let key_count = reader.count("metadata keys", 13)?;
    let metadata = read_metadata(&mut reader, key_count)?;
    let tensors = read_tensors(&mut reader, tensor_count, &metadata)?;
    let mut header = assemble(version, &metadata, &tensors, &reader)?;
    header.bos_token = token_text(&mut reader, &metadata, "tokenizer.ggml.bos_token_id")?;
    header.eos_token = token_text(&mut reader, &metadata, "tokenizer.ggml.eos_token_id")?;
    Ok(header)
}

/// Metadata by key.
struct Metadata(HashMap<String, Value>);

impl Metadata {
    fn number(&self, key: &str) -> Option<u64> {
        match self.0.get(key)? {
            Value::Unsigned(number) => Some(*number),
            Value::Signed(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    fn small(&self, key: &str) -> Option<u32> {
        self.number(key)
            .map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// One number for all layers, or one a layer.
    fn per_layer(&self, key: &str, layers: u32) -> Option<Vec<u32>> {
        match self.0.get(key)? {
            Value::Numbers(numbers) => Some(
                numbers
                    .iter()
                    .map(|number| u32::try_from(*number).unwrap_or_default())
                    .collect(),
            ),
            _ => self.small(key).map(|number| vec![number; layers as usize]),
        }
    }
}

/// The tensors as a whole.
struct Tensors {
    parameters: u64,
    bytes: u64,
    repacked_bytes: u64,
}

fn read_magic(reader: &mut Reader) -> Result<u32, GgufError> {
    if reader.length() == 0 {
        return Err(reader.error("is empty"));
    }
    let magic: [u8; 4] = reader.bytes()?;
    if &magic != b"GGUF" {
        return Err(GgufError {
            offset: 0,
            ..reader.error("is not a GGUF file: it does not start with `GGUF`")
        });
    }
    let version = reader.u32()?;
    match version {
        2 | 3 => Ok(version),
        1 => Err(reader.error("has GGUF version 1, which is no longer read; convert it again")),
        other if other.swap_bytes() <= 16 => {
            Err(reader.error("is written for big-endian machines; get the little-endian file"))
        }
        other => Err(reader.error(format!("has unknown GGUF version {other}"))),
    }
}

fn read_metadata(reader: &mut Reader, count: u64) -> Result<Metadata, GgufError> {
    let mut metadata = HashMap::new();
    let mut text_bytes = 0;
    for _ in 0..count {
        let key = reader.text()?;
        let value_type = reader.u32()?;
        let value = reader.value(value_type)?;
        text_bytes += key.len();
        if let Value::Text(text) = &value {
            text_bytes += text.len();
        }
        if text_bytes > MOST_TEXT_BYTES {
            return Err(reader.error("holds an absurd amount of metadata"));
        }
        metadata.insert(key, value);
    }
    Ok(Metadata(metadata))
}

fn read_tensors(
    reader: &mut Reader,
    count: u64,
    metadata: &Metadata,
) -> Result<Tensors, GgufError> {
    let mut parameters: u64 = 0;
    // Last byte used by any tensor, counted from the start of the data.
    let mut data_end: u64 = 0;
    let mut repacked_bytes: u64 = 0;
    // The table of tokens is looked up and not multiplied, unless it is the output matrix too.
    let (mut table_bytes, mut has_output) = (0, false);
    for _ in 0..count {
        let name = reader.text()?;
        let (elements, rows) = read_shape(reader, &name)?;
        let tensor_type = reader.u32()?;
        let offset = reader.u64()?;
        let bytes = tensor_block(tensor_type).map_or(0, |(per_block, block_bytes)| {
            elements.div_ceil(per_block).saturating_mul(block_bytes)
        });
        parameters = parameters.saturating_add(elements);
        data_end = data_end.max(offset.saturating_add(bytes));
        has_output |= name == "output.weight";
        if rows > 0 && rows.is_multiple_of(ROWS_TOGETHER) && is_repacked(tensor_type) {
            match name.as_str() {
                "token_embd.weight" => table_bytes = bytes,
                _ => repacked_bytes = repacked_bytes.saturating_add(bytes),
            }
        }
    }
    if !has_output {
        repacked_bytes = repacked_bytes.saturating_add(table_bytes);
    }
    let alignment = metadata
        .number("general.alignment")
        .unwrap_or(DEFAULT_ALIGNMENT)
        .max(1);
    let data_start = reader
        .position()
        .checked_next_multiple_of(alignment)
        .unwrap_or(u64::MAX);
    let needed = data_start.saturating_add(data_end);
    if count > 0 && needed > reader.length() {
        return Err(GgufError {
            offset: reader.length(),
            ..reader.error(format!(
                "is truncated: its tensors need {needed} bytes and it has {}; download it again",
                reader.length()
            ))
        });
    }
    Ok(Tensors {
        parameters,
        bytes: reader.length().saturating_sub(data_start),
        repacked_bytes,
    })
}

/// Elements, and rows of a matrix; 0 of what is none.
fn read_shape(reader: &mut Reader, name: &str) -> Result<(u64, u64), GgufError> {
    let dimensions = reader.u32()?;
    if dimensions > MOST_DIMENSIONS {
        return Err(reader.error(format!(
            "says that tensor `{}` has {dimensions} dimensions",
            name.chars().take(64).collect::<String>()
        )));
    }
    let mut elements: u64 = 1;
    let mut rows = 0;
    for dimension in 0..dimensions {
        let length = reader.u64()?;
        if dimension == 1 {
            rows = length;
        }
        elements = elements
            .checked_mul(length)
            .ok_or_else(|| reader.error("holds a tensor of absurd size"))?;
    }
    Ok((elements, rows))
}

fn assemble(
    version: u32,
    metadata: &Metadata,
    tensors: &Tensors,
    reader: &Reader,
) -> Result<Header, GgufError> {
    let architecture = metadata
        .text("general.architecture")
        .ok_or_else(|| reader.error("does not name its architecture (`general.architecture`)"))?
        .to_owned();
    let key = |name: &str| format!("{architecture}.{name}");
    let block_count = metadata.small(&key("block_count")).unwrap_or(0).min(4096);
    let embedding_length = metadata.small(&key("embedding_length")).unwrap_or(0);
    let head_counts = metadata
        .per_layer(&key("attention.head_count"), block_count)
        .unwrap_or_default();
    let head_count = head_counts.iter().copied().max().unwrap_or(0);
    let default_head_length = embedding_length.checked_div(head_count).unwrap_or(0);
    let sliding_window_tokens = metadata
        .small(&key("attention.sliding_window"))
        .filter(|window| *window > 0);
    Ok(Header {
        version,
        name: metadata.text("general.name").map(str::to_owned),
        quantisation: metadata
            .number("general.file_type")
            .and_then(file_type_name)
            .map(str::to_owned),
        parameters: tensors.parameters,
        context_length_tokens: metadata.small(&key("context_length")),
        block_count,
        embedding_length,
        feed_forward_length: metadata
            .per_layer(&key("feed_forward_length"), 1)
            .and_then(|lengths| lengths.into_iter().max())
            .unwrap_or(0),
        head_count,
        kv_head_counts: metadata
            .per_layer(&key("attention.head_count_kv"), block_count)
            .unwrap_or(head_counts),
        key_length: metadata
            .small(&key("attention.key_length"))
            .unwrap_or(default_head_length),
        value_length: metadata
            .small(&key("attention.value_length"))
            .unwrap_or(default_head_length),
        sliding_window_tokens,
        sliding_layers: sliding_layers(metadata, &architecture, block_count, sliding_window_tokens),
        vocabulary_size: vocabulary_size(metadata, &architecture),
        chat_template: metadata.text("tokenizer.chat_template").map(str::to_owned),
        bos_token: None,
        eos_token: None,
        adds_bos: match metadata.0.get("tokenizer.ggml.add_bos_token") {
            Some(Value::Bool(flag)) => Some(*flag),
            _ => None,
        },
        split_count: metadata.small("split.count").unwrap_or(1).max(1),
        tensor_bytes: tensors.bytes,
        repacked_bytes: tensors.repacked_bytes,
        file_bytes: reader.length(),
        architecture,
    })
}

/// Which layers slide: said by the file as flags or as a period, else by the architecture.
fn sliding_layers(
    metadata: &Metadata,
    architecture: &str,
    layers: u32,
    window: Option<u32>,
) -> Vec<bool> {
    if window.is_none() {
        return vec![false; layers as usize];
    }
    let key = format!("{architecture}.attention.sliding_window_pattern");
    if let Some(Value::Numbers(flags)) = metadata.0.get(&key) {
        return flags.iter().map(|flag| *flag != 0).collect();
    }
    // Periods that llama.cpp holds in code: each n-th layer attends to everything. An
    // architecture not named here is taken as attending everywhere, which overstates its need.
    let period = metadata.small(&key).or(match architecture {
        "gemma3" => Some(6),
        "gemma3n" => Some(5),
        "cohere2" | "llama4" | "exaone4" => Some(4),
        "gemma2" | "gpt-oss" => Some(2),
        _ => None,
    });
    (1..=layers)
        .map(|layer| period.is_some_and(|period| period > 1 && layer % period != 0))
        .collect()
}

fn vocabulary_size(metadata: &Metadata, architecture: &str) -> u64 {
    match metadata.0.get("tokenizer.ggml.tokens") {
        Some(Value::Skipped { count, .. }) => *count,
        _ => metadata
            .number(&format!("{architecture}.vocab_size"))
            .unwrap_or(0),
    }
}

/// The text of the token whose id is stored under `key`, found by walking the token list again.
fn token_text(
    reader: &mut Reader,
    metadata: &Metadata,
    key: &str,
) -> Result<Option<String>, GgufError> {
    let (
        Some(id),
        Some(Value::Skipped {
            element_type: 8,
            count,
            offset,
        }),
    ) = (
        metadata.number(key),
        metadata.0.get("tokenizer.ggml.tokens"),
    )
    else {
        return Ok(None);
    };
    if id >= *count {
        return Ok(None);
    }
    reader.jump(*offset)?;
    for _ in 0..id {
        let length = reader.count("bytes of text", 1)?;
        reader.skip(length)?;
    }
    reader.text().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A GGUF file with one f32 tensor, built byte by byte.
    fn sample(tensor_elements: u64, data_bytes: usize) -> Vec<u8> {
        with_tensors(&[("weight", &[tensor_elements], 0)], data_bytes)
    }

    /// The same with tensors by name, shape and type, all at the beginning of the data.
    fn with_tensors(tensors: &[(&str, &[u64], u32)], data_bytes: usize) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3u32.to_le_bytes());
        file.extend((tensors.len() as u64).to_le_bytes());
        let keys: &[(&str, u32, Vec<u8>)] = &[
            ("general.architecture", 8, text("llama")),
            ("general.file_type", 4, 15u32.to_le_bytes().to_vec()),
            ("llama.block_count", 4, 2u32.to_le_bytes().to_vec()),
            ("llama.embedding_length", 4, 64u32.to_le_bytes().to_vec()),
            ("llama.attention.head_count", 4, 8u32.to_le_bytes().to_vec()),
            (
                "llama.attention.head_count_kv",
                4,
                2u32.to_le_bytes().to_vec(),
            ),
            (
                "tokenizer.ggml.bos_token_id",
                4,
                1u32.to_le_bytes().to_vec(),
            ),
            ("tokenizer.ggml.tokens", 9, {
                let mut array = 8u32.to_le_bytes().to_vec();
                array.extend(2u64.to_le_bytes());
                array.extend(text("<unk>"));
                array.extend(text("<s>"));
                array
            }),
        ];
        file.extend((keys.len() as u64).to_le_bytes());
        for (key, value_type, value) in keys {
            file.extend(text(key));
            file.extend(value_type.to_le_bytes());
            file.extend(value);
        }
        for (name, shape, tensor_type) in tensors {
            file.extend(text(name));
            file.extend((shape.len() as u32).to_le_bytes());
            for length in *shape {
                file.extend(length.to_le_bytes());
            }
            file.extend(tensor_type.to_le_bytes());
            file.extend(0u64.to_le_bytes());
        }
        file.resize(file.len().next_multiple_of(32) + data_bytes, 0);
        file
    }

    fn text(text: &str) -> Vec<u8> {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Header, GgufError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read_header(file.path())
    }

    fn refusal(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().reason
    }

    #[test]
    fn reads_what_a_file_says() {
        let header = read(&sample(64, 256)).unwrap();
        assert_eq!(header.architecture, "llama");
        assert_eq!(header.quantisation.as_deref(), Some("Q4_K_M"));
        assert_eq!(header.parameters, 64);
        assert_eq!(header.kv_head_counts, [2, 2]);
        assert_eq!(header.key_length, 8);
        assert_eq!(header.vocabulary_size, 2);
        assert_eq!(header.bos_token.as_deref(), Some("<s>"));
        assert_eq!(header.eos_token, None);
        assert_eq!(header.tensor_bytes, 256);
    }

    /// Q4_K (12) is repacked, Q6_K (14) is not on x86; neither is a table of tokens that is only looked
    /// up, nor what has no eight rows to put together.
    #[test]
    fn matrices_that_are_repacked_are_counted() {
        let (table, matrix) = (("token_embd.weight", &[256, 8][..], 12), 144 * 8);
        let own: [(&str, &[u64], u32); 6] = [
            table,
            ("blk.0.ffn_up.weight", &[256, 8], 12),
            ("blk.0.ffn_down.weight", &[256, 8], 14),
            ("blk.0.attn_q.weight", &[256, 12], 12),
            ("blk.0.attn_norm.weight", &[256], 0),
            ("output.weight", &[256, 8], 14),
        ];
        let header = read(&with_tensors(&own, 4096)).unwrap();
        assert_eq!(header.repacked_bytes, matrix);
        let tied = read(&with_tensors(&own[..5], 4096)).unwrap();
        assert_eq!(tied.repacked_bytes, 2 * matrix);
    }

    #[test]
    fn refuses_a_file_shorter_than_its_tensors() {
        assert!(refusal(&sample(64, 255)).contains("is truncated"));
    }

    #[test]
    fn refuses_what_is_not_gguf() {
        assert!(refusal(b"").contains("is empty"));
        assert!(refusal(b"PK\x03\x04 and so on").contains("not a GGUF file"));
        assert!(refusal(b"GGUF\x00\x00\x00\x03").contains("big-endian"));
        assert!(refusal(b"GGUF\x09\x00\x00\x00").contains("version 9"));
    }

    #[test]
    fn no_cut_of_a_header_is_read_as_whole() {
        let whole = sample(64, 256);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn absurd_counts_are_refused_without_allocating() {
        let mut file = sample(64, 256);
        file[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(refusal(&file).contains("tensors"));
        let mut file = sample(64, 256);
        file[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(refusal(&file).contains("metadata keys"));
        let mut file = sample(64, 256);
        file[24..32].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
        assert!(refusal(&file).contains("bytes of text"));
        assert!(refusal(&sample(u64::MAX, 256)).contains("truncated"));
    }

    #[test]
    fn no_flipped_byte_panics() {
        let whole = sample(64, 256);
        for index in 0..whole.len() {
            for value in [0x00, 0x7f, 0xff] {
                let mut file = whole.clone();
                file[index] = value;
                let _ = read(&file);
            }
        }
    }

    #[test]
    fn sliding_layers_follow_the_architecture() {
        let metadata = Metadata(HashMap::new());
        let layers = sliding_layers(&metadata, "gemma3", 7, Some(512));
        assert_eq!(layers, [true, true, true, true, true, false, true]);
        assert_eq!(sliding_layers(&metadata, "qwen2", 2, Some(512)), [false; 2]);
        assert_eq!(sliding_layers(&metadata, "gemma3", 2, None), [false; 2]);
    }
}
