//! The servers that are tried: small enough that everything in them runs out.

use std::sync::LazyLock;
use std::time::Duration;

use turnpike_stun::{IntegrityKey, PasswordAlgorithm};
use turnpike_turn::server::{
    Config, Credentials, Lifetimes, Limits, PeerPolicy, Redirect, UserKeys,
};
use turnpike_types::{RateLimit, Timestamp};

use crate::addresses::{self, PORTS, SERVER_V4};

pub(super) const REALM: &str = "example.org";
pub(super) const SECRET: &[u8] = b"north";

/// Seconds since 1970 when a scenario begins.
pub(super) const WALL_CLOCK: u64 = 1_000_000_000;

/// When a scenario begins.
pub(super) const START: Timestamp = Timestamp::from_secs(1_000);

/// When the credential of the third of `NAMES` ends.
pub(super) const CAROL_ENDS: Timestamp = Timestamp::from_secs(1_900);

/// Who may claim to ask, and with what password. The last two are REST user names: their passwords
/// are base64(HMAC-SHA1(`SECRET`, name)), computed with another
/// tool.
pub(super) const NAMES: [(&str, &str); 4] = [
    ("alice", "wonderland"),
    ("bob", "builder"),
    ("1000000900:carol", "zS2gIZnmox8+XC8bTzHk74zL29A="),
    ("5:dave", "1FGqN7TmH6Wzr7iHOASkJkKLnVI="),
];

/// How a scenario's server differs from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// Users with both keys: SHA-256 and USERHASH are offered.
    Users,
    /// One user with an MD5 key only: neither password algorithms nor SHA-256.
    OldUsers,
    /// Users and a REST secret, whose credentials end strictly.
    Rest,
    /// Nobody authenticates.
    Anonymous,
    /// Users, no DF bit, SOFTWARE in replies, and tight rates.
    Tight,
}

impl Setting {
    pub(super) const ALL: [Self; 5] = [
        Self::Users,
        Self::OldUsers,
        Self::Rest,
        Self::Anonymous,
        Self::Tight,
    ];

    /// The configuration; made once, since its keys cost more than a scenario.
    pub(super) fn config(self) -> &'static Config {
        static CONFIGS: LazyLock<[Config; 5]> = LazyLock::new(|| Setting::ALL.map(config));
        &CONFIGS[self as usize]
    }
}

/// The key of a name for an algorithm.
pub(super) fn key(name: usize, algorithm: PasswordAlgorithm) -> IntegrityKey {
    static KEYS: LazyLock<[[IntegrityKey; 2]; 4]> = LazyLock::new(|| {
        NAMES.map(|(name, password)| {
            [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256]
                .map(|algorithm| IntegrityKey::long_term(algorithm, name, REALM, password))
        })
    });
    KEYS[name][usize::from(algorithm == PasswordAlgorithm::Sha256)]
}

pub(super) fn redirect() -> Redirect {
    Redirect {
        ipv4: Some(([198, 51, 100, 1], 3_478).into()),
        ipv6: None,
        domain: Some("other.example".into()),
    }
}

/// Peer policies to change between: the usual one, one that cuts a peer, and one that lets a low
/// port and a loopback address through.
pub(super) fn policy(choice: u8) -> PeerPolicy {
    let net = |text: &str| text.parse().expect("a network");
    match choice % 4 {
        0 | 1 => PeerPolicy::default(),
        2 => PeerPolicy {
            deny: vec![net("9.0.0.0/8"), net("2606:4700::/32")],
            ..PeerPolicy::default()
        },
        _ => PeerPolicy {
            allow: vec![net("8.8.8.8/32")],
            ..PeerPolicy::default()
        },
    }
}

fn config(setting: Setting) -> Config {
    let tight = setting == Setting::Tight;
    Config {
        realm: REALM.into(),
        relay_addresses: addresses::relay_addresses(),
        ports: PORTS.0..=PORTS.1,
        anonymous: setting == Setting::Anonymous,
        credentials: credentials(setting),
        strict_expiry: setting == Setting::Rest,
        lifetimes: Lifetimes {
            allocation: Duration::from_secs(600),
            allocation_max: Duration::from_secs(900),
            ..Lifetimes::default()
        },
        nonce_lifetime: Duration::from_secs(300),
        limits: Limits {
            allocations: 3,
            allocations_per_user: 3,
            permissions_per_allocation: 3,
            channels_per_allocation: 2,
            allocation_rate: RateLimit {
                packets_per_second: tight.then_some(3),
                bytes_per_second: tight.then_some(500),
            },
            user_rate: RateLimit {
                packets_per_second: tight.then_some(4),
                bytes_per_second: None,
            },
        },
        peers: PeerPolicy::default(),
        services: vec![SERVER_V4],
        software: tight.then(|| "turnpike".into()),
        dont_fragment: !tight,
        ..Config::default()
    }
}

fn credentials(setting: Setting) -> Credentials {
    let mut credentials = Credentials::new(REALM);
    for (name, password) in NAMES.into_iter().take(2) {
        let mut keys = UserKeys::of_password(name, REALM, password).expect("plain ASCII");
        if setting == Setting::OldUsers && name == "bob" {
            keys.sha256 = None;
        }
        credentials.add_user(name, keys).expect("a short name");
    }
    if setting == Setting::Rest {
        credentials.add_secret(SECRET).expect("the first");
    }
    credentials
}
