//! Two ends of an association, whoever wrote them, and the way between them.
//!
//! A world is made from one number: which messages, modes, resets, restarts and ends there are, and
//! what the path does to packets. A model that sees only what applications and wires see says
//! whether all that must hold does ([`violation::Invariant`] lists it).

pub(crate) mod bulk;
pub(crate) mod direction;
pub(crate) mod endpoint;
pub(crate) mod letter;
pub(crate) mod ours;
pub(crate) mod plan;
pub(crate) mod scenario;
pub(crate) mod seeds;
pub(crate) mod side;
pub(crate) mod sniffer;
pub(crate) mod violation;
pub(crate) mod wire;
