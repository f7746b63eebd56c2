//! The `toolbench` command: process arguments in, exit code out.

fn main() -> std::process::ExitCode {
    toolbench::cli::main()
}
