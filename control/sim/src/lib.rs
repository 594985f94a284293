#![forbid(unsafe_code)]
//! Sim.
