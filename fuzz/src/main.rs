//! The program that libFuzzer drives: one target, the one that `PORTHOLE_FUZZ_TARGET` names. `cargo xtask fuzz` starts it.

#![no_main]

use fuzz::Target;
use std::sync::LazyLock;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("PORTHOLE_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| panic!("PORTHOLE_FUZZ_TARGET names no target: {name:?}"))
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| TARGET.check(input));
