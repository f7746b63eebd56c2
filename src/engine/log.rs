//! Where llama.cpp's own messages go.
//!
//! Data in: lines that llama.cpp logs. Data out: nothing, or standard error when asked to be
//! verbose; the last errors are kept, because a failed load says why only there.
//! Invariant: standard output, which carries the protocol, is never written to.

use std::ffi::{CStr, c_char, c_void};
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Errors kept.
const MOST_ERRORS: usize = 8;

static VERBOSE: AtomicBool = AtomicBool::new(false);
static ERRORS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Takes over llama.cpp's log.
pub(super) fn take_over(verbose: bool) {
    VERBOSE.store(verbose, Ordering::Relaxed);
    // SAFETY: `receive` has the type llama.cpp asks for, lives as long as the process, keeps no
    // pointer it is given, and needs no user data.
    unsafe { llama_cpp_sys_2::llama_log_set(Some(receive), std::ptr::null_mut()) };
}

/// The last errors that llama.cpp logged, one line each, and forgets them.
pub(super) fn take_errors() -> Vec<String> {
    ERRORS
        .lock()
        .map(|mut errors| std::mem::take(&mut *errors))
        .unwrap_or_default()
}

/// llama.cpp's version, in its own words.
pub(super) fn llama_version() -> String {
    // SAFETY: answers a pointer to a static, NUL-terminated text, or null.
    unsafe { static_text(llama_cpp_sys_2::llama_version()) }
}

/// Instruction sets and devices that llama.cpp uses, in its own words.
pub(super) fn system_info() -> String {
    // SAFETY: answers a pointer to a static, NUL-terminated text, or null; only the worker
    // thread calls it.
    unsafe { static_text(llama_cpp_sys_2::llama_print_system_info()) }
}

/// # Safety
/// `text` is null or points to a NUL-terminated text that nobody changes meanwhile.
unsafe fn static_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: promised by the caller.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().trim().to_owned()
}

unsafe extern "C" fn receive(
    level: llama_cpp_sys_2::ggml_log_level,
    text: *const c_char,
    _user_data: *mut c_void,
) {
    // SAFETY: llama.cpp passes a NUL-terminated text that lives during the call.
    let line = unsafe { static_text(text) };
    if VERBOSE.load(Ordering::Relaxed) {
        // Nothing can be done when standard error is closed.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
    if level == llama_cpp_sys_2::GGML_LOG_LEVEL_ERROR
        && !line.is_empty()
        && let Ok(mut errors) = ERRORS.lock()
    {
        if errors.len() == MOST_ERRORS {
            errors.remove(0);
        }
        errors.push(line);
    }
}
