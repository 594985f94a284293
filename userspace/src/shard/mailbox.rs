//! What a shard is told by the rest of the process and by the other shards, and what came in
//! elsewhere: bounded queues and one wake-up.
//!
//! Orders have a queue, in which the process waits for room; words of other shards and connections
//! from there have others, so that many orders keep no shard from being heard. Whether the shard is
//! to stop or to drain is no order but a flag, which even a shard that hangs can be told. Datagrams
//! travel in parcels that are made at the start and used again; a sender that finds none free has
//! lost its datagram. The wake-up is written once for all that waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use nix::sys::eventfd::{EfdFlags, EventFd};
use turnpike_types::{FiveTuple, ServerAddr};

use super::NewStream;
use crate::credentials::CredentialChange;

/// Orders that may wait; the process waits with one more.
pub(super) const ORDERS_MAX: usize = 1_024;

/// Words and connections of other shards that may wait; one more is refused.
pub(super) const WORDS_MAX: usize = 1_024;

/// How soon a sender looks again for room.
const ROOM_EVERY: Duration = Duration::from_millis(1);

/// Datagrams on their way to one shard.
pub(super) const PARCELS_MAX: usize = 256;

/// Something a shard is told to do.
#[derive(Debug)]
pub enum Order {
    /// Publish the numbers as they are now, then answer.
    Publish(SyncSender<()>),
    /// Who may use the relay has changed.
    Credentials(CredentialChange),
}

/// Something a shard is told by another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
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
    /// The client has a later allocation at a third shard: end the one here.
    End {
        /// Whose allocation.
        five_tuple: FiveTuple,
    },
}

impl Word {
    /// The five-tuple that it is about.
    pub(super) const fn five_tuple(&self) -> &FiveTuple {
        match self {
            Self::Lend { five_tuple, .. }
            | Self::Unlend { five_tuple, .. }
            | Self::End { five_tuple } => five_tuple,
        }
    }
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
    words: SyncSender<Word>,
    streams: SyncSender<NewStream>,
    shared: Arc<Shared>,
}

/// The shard's end.
#[derive(Debug)]
pub struct Inbox {
    orders: Receiver<Order>,
    words: Receiver<Word>,
    streams: Receiver<NewStream>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    free: ArrayQueue<Box<Parcel>>,
    full: ArrayQueue<Box<Parcel>>,
    /// Whether the wake-up is written and not acknowledged.
    waiting: AtomicBool,
    stopping: AtomicBool,
    draining: AtomicBool,
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
        stopping: AtomicBool::new(false),
        draining: AtomicBool::new(false),
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
    let (orders, its_orders) = sync_channel(ORDERS_MAX);
    let (words, its_words) = sync_channel(WORDS_MAX);
    let (streams, its_streams) = sync_channel(WORDS_MAX);
    let mailbox = Mailbox {
        orders,
        words,
        streams,
        shared: Arc::clone(&shared),
    };
    let inbox = Inbox {
        orders: its_orders,
        words: its_words,
        streams: its_streams,
        shared,
    };
    Ok((mailbox, inbox))
}

impl Mailbox {
    /// Leaves an order and wakes the shard, once there is room. `false` when the shard is gone or
    /// told to stop, also while this waits.
    pub fn send(&self, mut order: Order) -> bool {
        while !self.is_stopping() {
            match self.orders.try_send(order) {
                Ok(()) => return self.shared.wake(),
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(unsent)) => order = unsent,
            }
            thread::sleep(ROOM_EVERY);
        }
        false
    }

    /// As [`send`](Self::send), but `false` also when too many orders wait.
    pub fn try_send(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok() && self.shared.wake()
    }

    /// Has the shard end its loop.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake();
    }

    /// Has the shard take no new allocations; what lives goes on.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
        self.shared.wake();
    }

    fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Acquire)
    }

    /// Leaves a word of another shard; `false` when too many wait or the shard is gone.
    pub(super) fn tell(&self, word: Word) -> bool {
        self.words.try_send(word).is_ok() && self.shared.wake()
    }

    /// Hands over a connection of this shard that was accepted at another; one that finds no room is
    /// closed, and the answer `false`.
    pub(super) fn hand_over(&self, stream: NewStream) -> bool {
        self.streams.try_send(stream).is_ok() && self.shared.wake()
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

    /// Whether the shard is to end its loop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Acquire)
    }

    /// Whether the shard is to take no new allocations.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Acquire)
    }

    /// The next word of another shard, if there is one.
    pub(super) fn take_word(&self) -> Option<Word> {
        self.words.try_recv().ok()
    }

    /// The next connection from another shard, if there is one.
    pub(super) fn take_stream(&self) -> Option<NewStream> {
        self.streams.try_recv().ok()
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

    /// Whether parcels wait.
    pub(super) fn has_parcels(&self) -> bool {
        !self.shared.full.is_empty()
    }

    /// Has the shard woken again for what it left.
    pub(super) fn come_back(&self) {
        self.shared.wake();
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

    fn nobody_asks() -> Order {
        Order::Publish(sync_channel(1).0)
    }

    #[test]
    fn wake_up_is_written_once_until_it_is_acknowledged() {
        let (mailbox, inbox) = mailbox(16).unwrap();
        assert!(!inbox.is_waiting());
        assert!(pass_on(&mailbox, b"one") && pass_on(&mailbox, b"two"));
        assert!(inbox.is_waiting());
        assert_eq!(inbox.wake().read(), Ok(1));
        inbox.acknowledge();
        assert!(mailbox.send(nobody_asks()));
        assert_eq!(inbox.wake().read(), Ok(1));
        assert_eq!(inbox.take_parcel().unwrap().payload(), b"one");
        assert!(matches!(inbox.take(), Some(Order::Publish(_))));
    }

    #[test]
    fn sender_that_waits_for_room_gives_up_when_the_shard_is_told_to_stop() {
        let (mailbox, inbox) = mailbox(0).unwrap();
        let sent = (0..=ORDERS_MAX).filter(|_| mailbox.try_send(nobody_asks()));
        assert_eq!(sent.count(), ORDERS_MAX);
        let waiting = mailbox.clone();
        let waits = thread::spawn(move || waiting.send(nobody_asks()));
        mailbox.drain();
        assert!(inbox.is_draining() && !inbox.is_stopping() && !waits.is_finished());
        mailbox.stop();
        assert!(!waits.join().unwrap());
        assert!(inbox.is_stopping());
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
