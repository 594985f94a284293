//! What the relay's XDP program does to frames, byte by byte: the real object, run by the kernel
//! (`BPF_PROG_TEST_RUN`), held against a reference relay that shares no code with it.
//!
//! Needs root; without it these tests fail, as every test here does.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers: a panic is the failure report"
)]

mod binding;
mod document;
mod frame;
mod generated;
mod headers;
mod kernel;
mod limits;
mod reference;
mod rows;
mod sessions;
mod size;
mod trial;
mod world;
