//! The long-term credential mechanism on both sides (RFC 8489 section 9.2).
//!
//! The server's half is [`NonceMint`]: challenges that need no memory. The client's half is
//! [`ClientCredential`]: what to answer, and when not to. Who may do what is decided above.

mod client;
mod cookie;
mod nonce;

pub use client::{ChallengeAnswer, ClientCredential, CredentialError, GiveUp};
pub use cookie::{COOKIE_LEN, SecurityFeatures};
pub use nonce::{MINTED_NONCE_MAX, MintedNonce, NonceCheck, NonceKey, NonceKeys, NonceMint};
