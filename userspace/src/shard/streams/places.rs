//! How many connections there may be, over all shards: a place each, in all and by client address.
//!
//! One lock, taken when a connection comes and when it goes, and never by a packet. Bounded by the
//! places.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::shard::ConnectionRefusal;

/// The part of an IPv6 address that is one client's.
const CLIENT_PREFIX_V6: u128 = !0 << 64;

/// The part of the connections that may be in a TLS handshake: each may hold 64 KiB there.
const HANDSHAKING_SHARE: usize = 8;

/// As many may be, however few connections there are.
const HANDSHAKING_MIN: usize = 16;

/// The places of a relay, which its shards share.
#[derive(Debug)]
pub struct Places {
    most: usize,
    most_handshaking: usize,
    most_of_address: u32,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    total: usize,
    handshaking: usize,
    by_address: HashMap<IpAddr, u32>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({})", self.total)
    }
}

impl Places {
    /// Room for `most` connections, and for `most_of_address` from one client address (an IPv6 /64).
    #[must_use]
    pub fn new(most: usize, most_of_address: u32) -> Self {
        Self {
            most,
            most_handshaking: (most / HANDSHAKING_SHARE).max(HANDSHAKING_MIN),
            most_of_address,
            held: Mutex::default(),
        }
    }

    /// Gives a place to a connection from `ip`.
    ///
    /// # Errors
    /// Which limit is reached.
    pub(super) fn take(self: &Arc<Self>, ip: IpAddr) -> Result<Place, ConnectionRefusal> {
        let client = client_of(ip);
        let mut held = self.held();
        if held.total >= self.most {
            return Err(ConnectionRefusal::Limit);
        }
        let of_address = held.by_address.get(&client).copied().unwrap_or(0);
        if of_address >= self.most_of_address {
            return Err(ConnectionRefusal::AddressLimit);
        }
        held.by_address.insert(client, of_address + 1);
        held.total += 1;
        Ok(Place {
            places: Arc::clone(self),
            client,
            is_handshaking: false,
        })
    }

    fn give_back(&self, client: IpAddr) {
        let mut held = self.held();
        held.total = held.total.saturating_sub(1);
        if let Entry::Occupied(mut count) = held.by_address.entry(client) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing between two changes can panic: what a thread left is sound.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a connection holds as long as its descriptor is open; free again when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    client: IpAddr,
    is_handshaking: bool,
}

impl Place {
    /// Counts its connection with those in a TLS handshake; `false` when there are enough.
    pub(super) fn begin_handshake(&mut self) -> bool {
        let mut held = self.places.held();
        if held.handshaking >= self.places.most_handshaking {
            return false;
        }
        held.handshaking += 1;
        self.is_handshaking = true;
        true
    }

    /// Notes that the handshake is over, if there was one.
    pub(super) fn end_handshake(&mut self) {
        if self.is_handshaking {
            self.is_handshaking = false;
            let mut held = self.places.held();
            held.handshaking = held.handshaking.saturating_sub(1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.end_handshake();
        self.places.give_back(self.client);
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place(redacted)")
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /64, which one subscriber has whole.
fn client_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & CLIENT_PREFIX_V6).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Arc<Places>, ip: &str) -> Result<Place, ConnectionRefusal> {
        places.take(ip.parse().unwrap())
    }

    fn refusal(places: &Arc<Places>, ip: &str) -> Option<ConnectionRefusal> {
        take(places, ip).err()
    }

    #[test]
    fn subnet_of_64_bits_is_one_client_and_an_ipv4_address_another() {
        let places = Arc::new(Places::new(10, 2));
        let held = ["2001:db8::1", "2001:db8::2:0:0:1"].map(|ip| take(&places, ip).unwrap());
        let full = Some(ConnectionRefusal::AddressLimit);
        assert_eq!(refusal(&places, "2001:db8::ffff:ffff:ffff:ffff"), full);
        assert_eq!(refusal(&places, "2001:db8:0:1::1"), None);
        let _v4 = [(); 2].map(|()| take(&places, "192.0.2.1").unwrap());
        assert_eq!(refusal(&places, "192.0.2.1"), full);
        assert_eq!(refusal(&places, "192.0.2.2"), None);
        drop(held);
        assert_eq!(refusal(&places, "2001:db8::3"), None);
    }

    #[test]
    fn places_are_exact_over_threads_and_nothing_is_left_of_those_given_back() {
        const MOST: usize = 3;
        let places = Arc::new(Places::new(MOST, 10));
        let in_use = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for host in 0..4 {
                let (places, in_use) = (&places, &in_use);
                scope.spawn(move || {
                    for _ in 0..2_000 {
                        let Ok(place) = take(places, &format!("192.0.2.{host}")) else {
                            continue;
                        };
                        let now = in_use.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                        assert!(now <= MOST, "{now}");
                        in_use.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(place);
                    }
                });
            }
        });
        let all: Vec<_> = (0..MOST)
            .map(|_| take(&places, "192.0.2.9").unwrap())
            .collect();
        assert_eq!(
            refusal(&places, "192.0.2.9"),
            Some(ConnectionRefusal::Limit)
        );
        drop(all);
        let held = places.held();
        assert_eq!((held.total, held.by_address.len()), (0, 0));
    }
}
