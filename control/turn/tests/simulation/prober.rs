//! Requests made by hand, with anybody's credentials, from a client's own socket: what no honest
//! client would ask for.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use turnpike_stun::long_term::{ChallengeAnswer, ClientCredential};
use turnpike_stun::{Class, ErrorCode, Message, MessageBuilder, Method, TransactionId};
use turnpike_turn::attribute::{
    AdditionalAddressFamily, ChannelNumberAttribute, EvenPort, Lifetime, RequestedAddressFamily,
    RequestedTransport, ReservationToken, XorPeerAddress,
};
use turnpike_types::{AddressFamily, ChannelNumber, Entropy};

use crate::account::Account;
use crate::stage::Stage;

/// One request.
#[derive(Clone, Debug)]
pub(crate) enum Probe {
    Binding,
    Allocate {
        family: Option<AddressFamily>,
        both: bool,
        even: Option<bool>,
        token: Option<[u8; 8]>,
        lifetime: Option<u32>,
    },
    Refresh {
        lifetime: Option<u32>,
        family: Option<AddressFamily>,
    },
    CreatePermission(Vec<SocketAddr>),
    ChannelBind(ChannelNumber, SocketAddr),
}

/// One account's hand.
#[derive(Debug)]
pub(crate) struct Prober {
    credential: ClientCredential,
    waiting: BTreeMap<TransactionIdBytes, Probe>,
}

type TransactionIdBytes = [u8; 12];

impl Prober {
    pub(crate) fn new(account: &Account) -> Self {
        let credential = ClientCredential::new(&account.username, &account.password).unwrap();
        Self {
            credential,
            waiting: BTreeMap::new(),
        }
    }

    /// The bytes of a request, to be sent as often as one likes.
    pub(crate) fn ask(&mut self, probe: Probe, dice: &mut impl Entropy) -> Vec<u8> {
        let id = TransactionId::random(dice);
        let mut buf = [0; 1_024];
        let mut message = MessageBuilder::new(&mut buf, Class::Request, probe.method(), id);
        probe.write(&mut message);
        if !matches!(probe, Probe::Binding) {
            self.credential.apply(&mut message);
        }
        if dice.below(2) == 0 {
            message.fingerprint();
        }
        let len = message.finish().unwrap();
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_first();
        }
        self.waiting.insert(id.0, probe);
        buf[..len].to_vec()
    }

    /// Whether a response is to one of these requests; if it is a challenge, the request to ask
    /// again.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> (bool, Option<Probe>) {
        let Ok(message) = Message::parse(bytes) else {
            return (false, None);
        };
        let Some(probe) = self.waiting.remove(&message.transaction_id().0) else {
            return (false, None);
        };
        let code = message
            .get::<ErrorCode<'_>>()
            .ok()
            .flatten()
            .map(|error| error.code);
        if !matches!(code, Some(401 | 438)) {
            return (true, None);
        }
        let answer = self.credential.handle_challenge(&message);
        (
            true,
            matches!(answer, ChallengeAnswer::Retry).then_some(probe),
        )
    }
}

impl Probe {
    pub(crate) fn draw(stage: &mut Stage) -> Self {
        let families = [None, Some(AddressFamily::Ipv4), Some(AddressFamily::Ipv6)];
        let family = stage.one_of(&families).unwrap();
        let tokens = stage.tokens.clone();
        let lifetime = match stage.below(6) {
            0 => Some(0),
            1 => Some(stage.below(5_000)),
            _ => None,
        };
        match stage.below(12) {
            0 => Self::Binding,
            1 | 2 => Self::Allocate {
                family,
                both: stage.below(4) == 0,
                even: [None, Some(false), Some(true)][stage.below(3) as usize],
                token: if stage.below(3) == 0 {
                    stage.one_of(&tokens)
                } else {
                    None
                },
                lifetime,
            },
            3 | 4 => Self::Refresh { lifetime, family },
            5..8 => {
                let count = 1 + stage.below(3);
                Self::CreatePermission((0..count).map(|_| peer(stage)).collect())
            }
            _ => {
                let number = ChannelNumber::new(0x4000 + stage.below(6) as u16).unwrap();
                Self::ChannelBind(number, peer(stage))
            }
        }
    }

    const fn method(&self) -> Method {
        match self {
            Self::Binding => Method::BINDING,
            Self::Allocate { .. } => Method::ALLOCATE,
            Self::Refresh { .. } => Method::REFRESH,
            Self::CreatePermission(_) => Method::CREATE_PERMISSION,
            Self::ChannelBind(..) => Method::CHANNEL_BIND,
        }
    }

    fn write(&self, message: &mut MessageBuilder<'_>) {
        match self {
            Self::Binding => {}
            Self::Allocate {
                family,
                both,
                even,
                token,
                lifetime,
            } => {
                message.attribute(&RequestedTransport::UDP);
                if let Some(family) = family {
                    message.attribute(&RequestedAddressFamily(*family));
                }
                if *both {
                    message.attribute(&AdditionalAddressFamily(AddressFamily::Ipv6));
                }
                if let Some(reserve_next) = *even {
                    message.attribute(&EvenPort { reserve_next });
                }
                if let Some(token) = token {
                    message.attribute(&ReservationToken(*token));
                }
                if let Some(lifetime) = lifetime {
                    message.attribute(&Lifetime(*lifetime));
                }
            }
            Self::Refresh { lifetime, family } => {
                if let Some(lifetime) = lifetime {
                    message.attribute(&Lifetime(*lifetime));
                }
                if let Some(family) = family {
                    message.attribute(&RequestedAddressFamily(*family));
                }
            }
            Self::CreatePermission(peers) => {
                for peer in peers {
                    message.attribute(&XorPeerAddress(*peer));
                }
            }
            Self::ChannelBind(number, peer) => {
                message.attribute(&ChannelNumberAttribute(*number));
                message.attribute(&XorPeerAddress(*peer));
            }
        }
    }
}

fn peer(stage: &mut Stage) -> SocketAddr {
    if stage.below(8) == 0 {
        stage.odd_peer()
    } else {
        stage.any_peer()
    }
}

/// The most requests that an answer is awaited for.
const WAITING_MAX: usize = 32;
