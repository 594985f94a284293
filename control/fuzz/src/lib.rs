#![forbid(unsafe_code)]
//! Fuzz.
