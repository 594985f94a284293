//! Turnpike.
