//! The `prompt-edge` binary.

fn main() {}
