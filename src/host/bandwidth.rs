//! A short probe of memory bandwidth: what decides decoding speed on a CPU.
//!
//! Data in: threads, free memory. Data out: bytes per second read, all threads together, and how far
//! the passes lay apart.
//! Method: each thread fills its own share of the buffer (so that it lies in memory near it) for at
//! most 80 ms, all wait for each other, then read it again and again until 40 ms have passed; the
//! rate is the sum over threads of a pass's bytes over its median time, since a pass during which
//! the thread was set aside says nothing of memory. The buffer is four times the last-level cache,
//! at least 64 MB and at most 256 MB or a quarter of free memory; above a cache of 64 MB part of it
//! is answered by the cache and the figure is an upper bound. Takes about 60 to 130 ms, longer on a
//! busy machine.

use std::sync::Barrier;

use super::probed::Probed;
use crate::clock::Stopwatch;

const MIN_BUFFER_BYTES: u64 = 64 << 20;
const MAX_BUFFER_BYTES: u64 = 256 << 20;
const FILL_MS: f64 = 80.0;
const READ_MS: f64 = 40.0;
const LEAST_PASSES: usize = 5;
const FILL_STEP_WORDS: usize = 1 << 17;

/// Measures; `None` when too little memory is free.
pub fn measure(threads: u32, available_bytes: u64) -> Option<Probed> {
    let wanted = (4 * last_level_cache_bytes().unwrap_or(MAX_BUFFER_BYTES))
        .clamp(MIN_BUFFER_BYTES, MAX_BUFFER_BYTES);
    let buffer_bytes = wanted.min(available_bytes / 4);
    let threads = usize::try_from(threads.max(1)).unwrap_or(1);
    let words = usize::try_from(buffer_bytes / 8).ok()? / threads;
    if words < 1 << 16 {
        return None;
    }
    let barrier = Barrier::new(threads);
    Probed::of_threads(threads, || read_share(words, &barrier))
}

/// One thread's rate in bytes per second.
fn read_share(words: usize, barrier: &Barrier) -> Probed {
    let buffer = fill(words);
    let bytes = buffer.len() as f64 * 8.0;
    barrier.wait();
    Probed::of_repeated(bytes, READ_MS, LEAST_PASSES, || {
        let sum = std::hint::black_box(&buffer)
            .iter()
            .fold(0_u64, |sum, word| sum.wrapping_add(*word));
        std::hint::black_box(sum);
    })
}

/// As many words as can be written in time, but at least half: less might fit the cache. Not zero:
/// pages of zeros would all be one page of memory.
fn fill(words: usize) -> Vec<u64> {
    let watch = Stopwatch::start();
    let mut buffer = Vec::with_capacity(words);
    while buffer.len() < words {
        buffer.resize((buffer.len() + FILL_STEP_WORDS).min(words), 1);
        if watch.elapsed_ms() > FILL_MS && buffer.len() >= words / 2 {
            break;
        }
    }
    buffer
}

/// Size of the last-level cache, where Linux says it.
fn last_level_cache_bytes() -> Option<u64> {
    let entries = std::fs::read_dir("/sys/devices/system/cpu/cpu0/cache").ok()?;
    let sizes = entries.flatten().filter_map(|entry| {
        let text = std::fs::read_to_string(entry.path().join("size")).ok()?;
        parse_size(text.trim())
    });
    sizes.max()
}

/// `32768K`, `32M`.
fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = match text.strip_suffix('K') {
        Some(number) => (number, 1 << 10),
        None => (text.strip_suffix('M')?, 1 << 20),
    };
    number.parse::<u64>().ok().map(|number| number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_is_short_and_needs_memory() {
        let watch = Stopwatch::start();
        assert!(measure(2, 4 << 30).is_some());
        // 150 ms on a quiet machine; tests run beside each other.
        assert!(watch.elapsed_ms() < 1500.0, "{}", watch.elapsed_ms());
        assert_eq!(measure(2, 1 << 20), None);
    }

    #[test]
    fn cache_sizes_are_read() {
        assert_eq!(parse_size("32768K"), Some(32 << 20));
        assert_eq!(parse_size("2M"), Some(2 << 20));
        assert_eq!(parse_size("x"), None);
    }
}
