//! The toolbench command.
fn main() {}
