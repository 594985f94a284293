//! Why a relay has no figure.

use crate::account::AccountError;
use crate::load::LoadError;
use crate::method::alternate::{Disturbance, Spoilt};
use crate::netns::NetnsError;
use crate::subject::SubjectError;

/// Why a relay has no figure; the words stand in the report instead of one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Fault {
    /// The relay's process ended while it was measured.
    #[error("died under load: {0}")]
    Died(String),
    /// The relay cannot be had or cannot do this.
    #[error("{0}")]
    Failed(String),
    /// No trial was quiet enough to count.
    #[error("no trial counted: {0}")]
    Disturbed(Disturbance),
}

impl From<Spoilt<Self>> for Fault {
    fn from(spoilt: Spoilt<Self>) -> Self {
        match spoilt {
            Spoilt::Failed(fault) => fault,
            Spoilt::Disturbed(why) => Self::Disturbed(why),
        }
    }
}

/// All of these are words for the report once they are here.
macro_rules! failed {
    ($($error:ty),*) => {
        $(impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::Failed(error.to_string())
            }
        })*
    };
}

failed!(AccountError, LoadError, NetnsError, SubjectError);
