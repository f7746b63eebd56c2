//! One integration binary: one link step on a small machine.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests drive the process and fail by panicking"
)]

mod support;

mod authoring;
mod catalogue;
mod codes;
mod commands;
mod cost;
mod coverage;
mod day_one;
mod endpoint_server;
mod endpoint_words;
#[cfg(feature = "llama")]
mod engine_live;
#[cfg(feature = "llama")]
mod engine_process;
mod export_setup;
mod export_setup_words;
mod exports;
mod fault_matrix;
mod faults;
mod gate;
mod gate_simulation;
mod grammar;
mod history;
mod hosts;
mod html_browser;
mod hybrid;
mod interop;
mod limits;
mod live_export_setup;
mod live_hosts;
mod live_llama_server;
mod live_models;
mod live_server;
mod live_suites;
mod mcp_serve;
mod mcp_support;
mod mcp_tools;
mod merge;
mod privacy;
mod probes;
mod providers;
mod providers_cassette;
mod providers_cloud;
mod providers_command;
mod providers_context;
mod providers_ollama;
mod qualify;
mod qualify_files;
mod qualify_goes_on;
mod recipes;
mod rescore;
mod resume;
mod runs;
mod scale_recipes;
mod score;
mod score_import;
mod score_inputs;
mod scoring_page;
mod selftest;
mod sequential;
mod shards;
mod sizing;
mod suites;
mod tidy;
