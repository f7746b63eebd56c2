//! llama.cpp's start, and in shipped builds (feature `dispatch`) the choice of its processor backend.
//!
//! Data in: the path of this program. Data out: llama.cpp, started, or why it cannot run here.
//! Invariants: backends are loaded from the program's own folder and from nowhere else, although
//! llama.cpp by itself would also look in the working directory; a CPU that lacks what a build needs
//! is refused before llama.cpp runs on it, because it would end with an illegal instruction.

use std::path::Path;

use llama_cpp_2::llama_backend::LlamaBackend;

use super::host;

/// Starts llama.cpp.
pub(super) fn start(program: &Path) -> Result<LlamaBackend, String> {
    let lacking = host::missing_instruction_sets();
    if !lacking.is_empty() {
        return Err(host::refusal(&lacking));
    }
    load(program)?;
    LlamaBackend::init().map_err(|error| format!("llama.cpp did not start: {error}"))
}

/// Loads the fastest processor backend that this machine can run.
#[cfg(feature = "dispatch")]
pub(super) fn load(program: &Path) -> Result<(), String> {
    // SAFETY: takes nothing and answers a number.
    let loaded = || unsafe { llama_cpp_sys_2::ggml_backend_reg_count() } > 0;
    if loaded() {
        return Ok(());
    }
    let folder = folder(program);
    // The crate takes no path but one of UTF-8.
    if folder.to_str().is_some() {
        llama_cpp_2::llama_backend::load_backends_from_path(&folder);
    }
    if loaded() {
        return Ok(());
    }
    Err(format!(
        "no processor backend for this machine could be loaded from {}; they come with the release \
         archive: keep its `bin` and `lib` side by side, or install it again",
        folder.display()
    ))
}

/// The one backend of other builds is linked in.
#[cfg(not(feature = "dispatch"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "a build that chooses its backend may find none"
)]
pub(super) fn load(_program: &Path) -> Result<(), String> {
    Ok(())
}

/// `lib/toolbench` beside the folder of the program, wherever a link to it was called from.
#[cfg(feature = "dispatch")]
fn folder(program: &Path) -> std::path::PathBuf {
    let program = program
        .canonicalize()
        .unwrap_or_else(|_| program.to_owned());
    let root = program.parent().and_then(Path::parent);
    root.unwrap_or(Path::new("/")).join("lib/toolbench")
}
