#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| isoline_fuzz::run("recipe", input));
