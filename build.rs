//! Puts the git revision of the sources into the binary (empty where there is no git), and makes the
//! gRPC transport's client and server from its .proto without protoc.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script its profile in no other way"
)]
fn opt_level() -> String {
    std::env::var("OPT_LEVEL").unwrap_or_default()
}

const PROTO: &str = "proto/toolbench_mcp.proto";

fn generate_grpc() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let descriptors = protox::compile([PROTO], ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}

fn main() {
    generate_grpc().expect("the gRPC transport compiles");
    let revision = git(&["rev-parse", "--short=12", "HEAD"]).map_or_else(String::new, |hash| {
        let dirty = git(&["status", "--porcelain", "--untracked-files=no"])
            .is_some_and(|changes| !changes.is_empty());
        if dirty { format!("{hash}-dirty") } else { hash }
    });
    println!("cargo::rustc-env=BUILD_GIT_REVISION={revision}");
    // Simulations among the tests draw fewer data sets in a build that is not optimised.
    let level = opt_level();
    println!("cargo::rustc-env=BUILD_OPT_LEVEL={level}");
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/index");
}
