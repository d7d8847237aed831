//! The fuzz target of every reader: `TARGET=onnx cargo +nightly fuzz run readers`. Which one is a variable of the environment,
//! so that one build serves all.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "../targets.rs"]
mod targets;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let names = targets::TARGETS.map(|(name, _)| name).join(", ");
    let wanted = std::env::var("TARGET").unwrap_or_default();
    let found = targets::TARGETS.into_iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("TARGET={wanted}: expected one of {names}"))
});

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    (TARGET.1)(bytes, folder.path());
});
