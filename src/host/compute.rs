//! A short probe of compute: what decides how fast a prompt is read on a CPU.
//!
//! Data in: threads. Data out: operations per second, all threads together, and their spread.
//! Method: each thread multiplies and adds 32-bit floats (a product of a block of rows and a block of
//! columns that lie in its first cache, as the inner loops of a matrix product do) for 40 ms, with the
//! widest vectors that the processor has, whatever this build was made for; a multiply-add counts as
//! two operations. The rate is the sum over threads of a pass's operations over its median time.
//! Kernels of quantised weights use 8-bit products, which may be quicker by a factor that depends on
//! the processor: the predictor finds that factor from measured runs and never takes this figure for
//! a speed of prompts.

use super::probed::Probed;

const PROBE_MS: f64 = 40.0;
const LEAST_PASSES: usize = 100;
/// Floats of a block's row: eight vectors of 512 bits.
const WIDTH: usize = 128;
/// Rows of the block, and products of a pass over it: 64 × 128 floats are 32 KB.
const DEPTH: usize = 64;
/// Passes over the block between two looks at the clock: some 20 µs.
const REPEATS: usize = 64;

/// Measures.
pub fn measure(threads: u32) -> Option<Probed> {
    let threads = usize::try_from(threads.max(1)).unwrap_or(1);
    Probed::of_threads(threads, one_thread)
}

fn one_thread() -> Probed {
    let block = vec![1.0e-3_f32; WIDTH * DEPTH];
    let operations = (2 * WIDTH * DEPTH * REPEATS) as f64;
    Probed::of_repeated(operations, PROBE_MS, LEAST_PASSES, || {
        std::hint::black_box(widest(std::hint::black_box(&block)));
    })
}

/// Adds each row of the block, times a factor of its own, to one sum of a row's width.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "compiled anew for each instruction set"
)]
fn products<const FUSED: bool>(block: &[f32]) -> f32 {
    let mut sums = [0.0_f32; WIDTH];
    for repeat in 0..REPEATS {
        for (row, values) in block.chunks_exact(WIDTH).enumerate() {
            let factor = (row + repeat) as f32;
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = if FUSED {
                    value.mul_add(factor, *sum)
                } else {
                    *sum + value * factor
                };
            }
        }
    }
    sums.iter().sum()
}

#[cfg(target_arch = "x86_64")]
fn widest(block: &[f32]) -> f32 {
    #[target_feature(enable = "avx512f")]
    fn with_512_bits(block: &[f32]) -> f32 {
        products::<true>(block)
    }
    #[target_feature(enable = "avx2,fma")]
    fn with_256_bits(block: &[f32]) -> f32 {
        products::<true>(block)
    }
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has just said that it can.
        return unsafe { with_512_bits(block) };
    }
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has just said that it can.
        return unsafe { with_256_bits(block) };
    }
    products::<false>(block)
}

/// Every processor of this kind can multiply and add at once.
#[cfg(target_arch = "aarch64")]
fn widest(block: &[f32]) -> f32 {
    products::<true>(block)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn widest(block: &[f32]) -> f32 {
    products::<false>(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stopwatch;

    #[test]
    fn the_probe_is_short_and_plausible() {
        let watch = Stopwatch::start();
        let found = measure(2).unwrap();
        assert!(watch.elapsed_ms() < 1500.0, "{}", watch.elapsed_ms());
        // Shown with --nocapture. A thousand operations a second and thread would be no processor.
        eprintln!(
            "{:.1} GFLOP/s ± {:.0} %",
            found.rate / 1e9,
            found.spread_share * 100.0
        );
        assert!((1e8..1e13).contains(&found.rate), "{found:?}");
    }

    #[test]
    fn every_kernel_computes_the_same() {
        let block: Vec<f32> = (0..WIDTH * DEPTH).map(|at| (at % 7) as f32).collect();
        let (fused, plain) = (products::<true>(&block), products::<false>(&block));
        assert!((fused - plain).abs() / plain < 1e-4);
        assert!((widest(&block) - plain).abs() / plain < 1e-4);
    }
}
