//! What a shard is told by the rest of the process, and datagrams that came in elsewhere: bounded
//! queues and one wake-up.
//!
//! Orders are few. Datagrams travel in parcels that are made at the start and used again; a sender
//! that finds none free has lost its datagram. The wake-up is written once for all that waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crossbeam::queue::ArrayQueue;
use nix::sys::eventfd::{EfdFlags, EventFd};
use turnpike_types::{FiveTuple, ServerAddr};

use super::NewStream;
use crate::credentials::CredentialChange;

/// Orders that may wait; the process waits with one more, another shard does not.
pub(super) const ORDERS_MAX: usize = 1_024;

/// Datagrams on their way to one shard.
pub(super) const PARCELS_MAX: usize = 256;

/// Something a shard is told to do.
#[derive(Debug)]
pub enum Order {
    /// End the loop.
    Stop,
    /// Take no new allocations; what lives goes on.
    Drain,
    /// Publish the numbers as they are now, then answer.
    Publish(SyncSender<()>),
    /// Who may use the relay has changed.
    Credentials(CredentialChange),
    /// A connection of this shard was accepted at another.
    Adopt(NewStream),
    /// A five-tuple of this shard has its allocation at another: pass its datagrams on.
    Lend {
        /// Whose datagrams.
        five_tuple: FiveTuple,
        /// The shard with the allocation.
        to: u16,
    },
    /// That allocation is over.
    Unlend {
        /// Whose it was.
        five_tuple: FiveTuple,
        /// The shard that had it.
        from: u16,
    },
}

/// A datagram on its way from the shard it came in at to the shard it is for.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) source: SocketAddr,
    pub(super) server: ServerAddr,
    len: usize,
    bytes: Box<[u8]>,
}

impl Parcel {
    pub(super) fn payload(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

/// The sender's end.
#[derive(Clone, Debug)]
pub struct Mailbox {
    orders: SyncSender<Order>,
    shared: Arc<Shared>,
}

/// The shard's end.
#[derive(Debug)]
pub struct Inbox {
    orders: Receiver<Order>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    free: ArrayQueue<Box<Parcel>>,
    full: ArrayQueue<Box<Parcel>>,
    /// Whether the wake-up is written and not acknowledged.
    waiting: AtomicBool,
    wake: EventFd,
}

impl Shared {
    /// Wakes the shard unless that is done already. What was queued before is seen by it.
    fn wake(&self) -> bool {
        self.waiting.swap(true, Ordering::AcqRel) || self.wake.write(1).is_ok()
    }
}

/// Makes a mailbox. `parcel_bytes` is the longest datagram that others may pass on to its shard; 0
/// for a shard that is alone.
///
/// # Errors
/// When there is no descriptor left for the wake-up.
pub fn mailbox(parcel_bytes: usize) -> nix::Result<(Mailbox, Inbox)> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let parcels = if parcel_bytes == 0 { 0 } else { PARCELS_MAX };
    let shared = Arc::new(Shared {
        free: ArrayQueue::new(PARCELS_MAX),
        full: ArrayQueue::new(PARCELS_MAX),
        waiting: AtomicBool::new(false),
        wake: EventFd::from_flags(flags)?,
    });
    for _ in 0..parcels {
        let nowhere = SocketAddr::from(([0; 4], 0));
        let parcel = Parcel {
            source: nowhere,
            server: ServerAddr(nowhere),
            len: 0,
            bytes: vec![0; parcel_bytes].into_boxed_slice(),
        };
        // There is room for all of them.
        let _surplus = shared.free.push(Box::new(parcel));
    }
    let (sender, receiver) = sync_channel(ORDERS_MAX);
    Ok((
        Mailbox {
            orders: sender,
            shared: Arc::clone(&shared),
        },
        Inbox {
            orders: receiver,
            shared,
        },
    ))
}

impl Mailbox {
    /// Leaves an order and wakes the shard. `false` when the shard is gone.
    pub fn send(&self, order: Order) -> bool {
        self.orders.send(order).is_ok() && self.shared.wake()
    }

    /// As [`send`](Self::send), for shards: `false` also when too many orders wait.
    pub(super) fn try_send(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok() && self.shared.wake()
    }

    /// Passes a datagram on; `false` when no parcel is free or the datagram too long for one.
    pub(super) fn pass_on(&self, source: SocketAddr, server: ServerAddr, payload: &[u8]) -> bool {
        let Some(mut parcel) = self.shared.free.pop() else {
            return false;
        };
        let Some(place) = parcel.bytes.get_mut(..payload.len()) else {
            let _room = self.shared.free.push(parcel);
            return false;
        };
        place.copy_from_slice(payload);
        (parcel.source, parcel.server, parcel.len) = (source, server, payload.len());
        self.shared.full.push(parcel).is_ok() && self.shared.wake()
    }
}

impl Inbox {
    /// What becomes readable when something waits.
    #[must_use]
    pub fn wake(&self) -> &EventFd {
        &self.shared.wake
    }

    /// Whether something waits; what causes a later packet to come in is seen before that packet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.shared.waiting.load(Ordering::Acquire)
    }

    /// The next order, if there is one.
    pub fn take(&self) -> Option<Order> {
        self.orders.try_recv().ok()
    }

    /// The next parcel, if there is one; to be given back by [`empty`](Self::empty).
    pub(super) fn take_parcel(&self) -> Option<Box<Parcel>> {
        self.shared.full.pop()
    }

    /// Makes a parcel free for the next datagram.
    pub(super) fn empty(&self, parcel: Box<Parcel>) {
        // There are no more parcels than places.
        let _surplus = self.shared.free.push(parcel);
    }

    /// Has the shard woken again for parcels that it left.
    pub(super) fn come_back(&self) {
        if !self.shared.full.is_empty() {
            self.shared.wake();
        }
    }

    /// Resets the wake-up; to be called before anything is taken, or it could be missed.
    pub fn acknowledge(&self) {
        // An error means there was nothing to reset.
        let _count = self.shared.wake.read();
        self.shared.waiting.swap(false, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass_on(mailbox: &Mailbox, payload: &[u8]) -> bool {
        let nowhere = SocketAddr::from(([0; 4], 0));
        mailbox.pass_on(nowhere, ServerAddr(nowhere), payload)
    }

    #[test]
    fn wake_up_is_written_once_until_it_is_acknowledged() {
        let (mailbox, inbox) = mailbox(16).unwrap();
        assert!(!inbox.is_waiting());
        assert!(pass_on(&mailbox, b"one") && pass_on(&mailbox, b"two"));
        assert!(inbox.is_waiting());
        assert_eq!(inbox.wake().read(), Ok(1));
        inbox.acknowledge();
        assert!(mailbox.send(Order::Drain));
        assert_eq!(inbox.wake().read(), Ok(1));
        assert_eq!(inbox.take_parcel().unwrap().payload(), b"one");
        assert!(matches!(inbox.take(), Some(Order::Drain)));
    }

    #[test]
    fn parcels_are_used_again_and_never_more_than_there_are() {
        let (mailbox, inbox) = mailbox(16).unwrap();
        let taken = (0..2 * PARCELS_MAX)
            .filter(|_| pass_on(&mailbox, b"x"))
            .count();
        assert_eq!(taken, PARCELS_MAX);
        inbox.empty(inbox.take_parcel().unwrap());
        assert!(pass_on(&mailbox, &[1; 16]) && !pass_on(&mailbox, b"x"));
        inbox.empty(inbox.take_parcel().unwrap());
        assert!(!pass_on(&mailbox, &[1; 17]));
        assert!(pass_on(&mailbox, &[1; 1]));
    }
}
