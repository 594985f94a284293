//! The shard's sockets in one slab: what each is for, and whether its receive is armed.
//!
//! A slot is used again only after the last completion of the receive on it, so that a late
//! completion never meets another socket. Slots are named by `OpToken`s.

use socket2::Socket;
use turnpike_types::{AddressFamily, RelayedAddr, ServerAddr};

use crate::uring::{OpKind, OpToken, Via, receive_drops};

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Clients send to it.
    Listener(ServerAddr),
    /// Peers send to it: a relayed address.
    Relay(RelayedAddr),
    /// Peers send to relayed addresses that the kernel steers to it.
    Steered,
    /// Nobody sends to it; datagrams leave by it that bring their own headers.
    Sender,
    /// The kernel reports ICMP errors on it.
    Icmp(AddressFamily),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receive {
    /// To be armed by [`Sockets::arm_ended`].
    Ended,
    Armed,
    /// To be cancelled, or cancelled and not over yet; then the socket goes.
    Closing,
}

#[derive(Debug)]
struct Entry {
    role: Role,
    via: Via,
    receive: Receive,
    socket: Socket,
    /// What the kernel had dropped when it was last asked.
    drops_seen: u32,
    runs: RunLimit,
}

/// What a socket's runs may be.
#[derive(Clone, Copy, Debug)]
struct RunLimit {
    /// Datagrams of a run are at most this long.
    segment_max: usize,
    /// How many that were longer may still ask in vain.
    refusals: u32,
}

impl RunLimit {
    const NONE: Self = Self {
        segment_max: usize::MAX,
        refusals: 0,
    };
}

/// Datagrams that are not gathered after the kernel refused a run, before one is tried again: the
/// path may have another MTU by then, or the refusal was for another destination's.
const REFUSALS: u32 = 65_536;

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

/// What a receive that ended calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterEnd {
    /// The socket lives on.
    Rearm,
    /// The socket is retired, its slot free.
    Closed,
    /// The token is of a socket long gone.
    Stale,
}

/// The sockets of one shard.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ended: Vec<u32>,
    faulty: Vec<u32>,
    uncancelled: Vec<OpToken>,
    /// Out of use, but a queued send may still name their descriptors.
    retired: Vec<Socket>,
}

impl Sockets {
    /// Takes a socket in; its receive is not armed yet.
    pub(super) fn insert(&mut self, role: Role, via: Via, socket: Socket) -> u32 {
        let slot = self.place(role, via, socket);
        self.ended.push(slot);
        slot
    }

    /// Takes a socket in that nothing is received by.
    pub(super) fn insert_sender(&mut self, via: Via, socket: Socket) -> u32 {
        self.place(Role::Sender, via, socket)
    }

    fn place(&mut self, role: Role, via: Via, socket: Socket) -> u32 {
        let entry = Entry {
            role,
            via,
            receive: Receive::Ended,
            socket,
            drops_seen: 0,
            runs: RunLimit::NONE,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // Every socket may need arming, or cancelling, in one turn: the packet path must not grow.
            self.ended.reserve(self.slots.len() - self.ended.len());
            self.faulty.reserve(self.slots.len() - self.faulty.len());
            self.uncancelled
                .reserve(self.slots.len().saturating_sub(self.uncancelled.len()));
            (self.slots.len() - 1) as u32
        });
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.entry = Some(entry);
        }
        slot
    }

    /// The role of the socket that a completion is for; `None` when it is closing or gone.
    pub(super) fn role(&self, token: OpToken) -> Option<Role> {
        let slot = self.slots.get(token.slot as usize)?;
        let entry = slot.entry.as_ref()?;
        let live = token.is_of(slot.generation) && entry.receive != Receive::Closing;
        live.then_some(entry.role)
    }

    /// The socket itself, for what io_uring does not do.
    pub(super) fn socket(&self, slot: u32) -> Option<&Socket> {
        self.slots
            .get(slot as usize)?
            .entry
            .as_ref()
            .map(|entry| &entry.socket)
    }

    /// Names the socket in a slot, so that one that takes the slot over is told apart.
    pub(super) fn name(&self, slot: u32) -> OpToken {
        let generation = self.slots.get(slot as usize).map(|place| place.generation);
        OpToken::new(OpKind::Run, slot, generation.unwrap_or_default())
    }

    /// The socket of a [`name`](Self::name), if it is still there.
    pub(super) fn named(&self, name: OpToken) -> Option<&Socket> {
        let place = self.slots.get(name.slot as usize)?;
        let is_same = name.is_of(place.generation);
        is_same.then(|| self.socket(name.slot)).flatten()
    }

    /// Whether datagrams of this many bytes may leave a socket as a run.
    pub(super) fn takes_run(&mut self, slot: u32, segment: usize) -> bool {
        let Some(entry) = self
            .slots
            .get_mut(slot as usize)
            .and_then(|place| place.entry.as_mut())
        else {
            return false;
        };
        if entry.role == Role::Sender {
            // Only a UDP socket takes runs.
            return false;
        }
        let limit = &mut entry.runs;
        if segment <= limit.segment_max {
            return true;
        }
        limit.refusals = limit.refusals.saturating_sub(1);
        if limit.refusals == 0 {
            *limit = RunLimit::NONE;
        }
        false
    }

    /// Notes that the kernel refused a run: for its datagrams' length, or as it would any other.
    pub(super) fn refused_run(&mut self, name: OpToken, segment: usize, is_for_length: bool) {
        if let Some(place) = self.slots.get_mut(name.slot as usize)
            && name.is_of(place.generation)
            && let Some(entry) = &mut place.entry
        {
            let segment_max = if is_for_length {
                segment.saturating_sub(1).min(entry.runs.segment_max)
            } else {
                0
            };
            entry.runs = RunLimit {
                segment_max,
                refusals: REFUSALS,
            };
        }
    }

    /// How many datagrams the kernel dropped at a socket since the last call, its queue being full.
    pub(super) fn new_drops(&mut self, slot: u32) -> u32 {
        let entry = self
            .slots
            .get_mut(slot as usize)
            .and_then(|place| place.entry.as_mut());
        let Some(entry) = entry else { return 0 };
        let Ok(drops) = receive_drops(&entry.socket) else {
            return 0;
        };
        let new = drops.wrapping_sub(entry.drops_seen);
        entry.drops_seen = drops;
        new
    }

    /// Notes that a receive ended; with it a closing socket goes.
    pub(super) fn receive_ended(&mut self, token: OpToken) -> AfterEnd {
        let Some(slot) = self.slots.get_mut(token.slot as usize) else {
            return AfterEnd::Stale;
        };
        if !token.is_of(slot.generation) {
            return AfterEnd::Stale;
        }
        match &mut slot.entry {
            Some(entry) if entry.receive == Receive::Closing => {
                self.remove(token.slot);
                AfterEnd::Closed
            }
            Some(entry) => {
                entry.receive = Receive::Ended;
                self.ended.push(token.slot);
                AfterEnd::Rearm
            }
            None => AfterEnd::Stale,
        }
    }

    /// Notes that a receive failed for a reason that arming at once would only meet again; it is
    /// armed after [`revive`](Self::revive).
    pub(super) fn receive_failed(&mut self, token: OpToken) -> AfterEnd {
        let after = self.receive_ended(token);
        if after == AfterEnd::Rearm
            && let Some(slot) = self.ended.pop()
        {
            self.faulty.push(slot);
        }
        after
    }

    /// Lets receives that failed be armed again.
    pub(super) fn revive(&mut self) {
        self.ended.append(&mut self.faulty);
    }

    /// Begins to close: at once where no receive is armed, else after its last completion. Either
    /// way the descriptor goes with [`close_retired`](Self::close_retired).
    pub(super) fn close(&mut self, slot: u32) {
        let Some(place) = self.slots.get_mut(slot as usize) else {
            return;
        };
        let Some(entry) = &mut place.entry else {
            return;
        };
        match entry.receive {
            Receive::Ended => {
                self.ended.retain(|ended| *ended != slot);
                self.faulty.retain(|faulty| *faulty != slot);
                self.remove(slot);
            }
            Receive::Armed => {
                entry.receive = Receive::Closing;
                self.uncancelled
                    .push(OpToken::new(OpKind::Receive, slot, place.generation));
            }
            Receive::Closing => {}
        }
    }

    /// Arms what is not, by `arm`, until that refuses.
    pub(super) fn arm_ended(&mut self, mut arm: impl FnMut(Via, OpToken) -> bool) {
        while let Some(slot) = self.ended.last().copied() {
            if let Some(place) = self.slots.get_mut(slot as usize)
                && let Some(entry) = &mut place.entry
            {
                if !arm(
                    entry.via,
                    OpToken::new(OpKind::Receive, slot, place.generation),
                ) {
                    return;
                }
                entry.receive = Receive::Armed;
            }
            self.ended.pop();
        }
    }

    /// Cancels the receives of closing sockets, by `cancel`, until that refuses.
    pub(super) fn cancel_closing(&mut self, mut cancel: impl FnMut(OpToken) -> bool) {
        while let Some(token) = self.uncancelled.last() {
            if !cancel(*token) {
                return;
            }
            self.uncancelled.pop();
        }
    }

    /// Closes the sockets that are out of use, once `flush` has handed to the kernel every send that
    /// names one: a descriptor that is closed earlier may be another socket's when the send is read.
    pub(super) fn close_retired(&mut self, flush: impl FnOnce() -> bool) {
        if !self.retired.is_empty() && flush() {
            self.retired.clear();
        }
    }

    fn remove(&mut self, slot: u32) {
        if let Some(place) = self.slots.get_mut(slot as usize)
            && let Some(entry) = place.entry.take()
        {
            self.retired.push(entry.socket);
            place.generation = place.generation.wrapping_add(1);
            self.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(sockets: &mut Sockets) -> u32 {
        let any = "127.0.0.1:0".parse().unwrap();
        let socket = super::super::open::listeners(any, 1, false)
            .unwrap()
            .remove(0);
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let via = Via::of(&socket);
        sockets.insert(Role::Listener(ServerAddr(address)), via, socket)
    }

    #[test]
    fn refused_run_bounds_later_ones_for_a_while_and_only_of_its_own_socket() {
        let mut sockets = Sockets::default();
        let slot = insert(&mut sockets);
        let name = sockets.name(slot);
        assert!(sockets.takes_run(slot, 1_472));
        sockets.refused_run(name, 1_472, true);
        assert!(sockets.takes_run(slot, 1_471));
        for _ in 0..REFUSALS {
            assert!(!sockets.takes_run(slot, 1_472));
        }
        assert!(sockets.takes_run(slot, 1_472));
        sockets.refused_run(name, 1_472, false);
        assert!(!sockets.takes_run(slot, 1));
        sockets.close(slot);
        assert_eq!(insert(&mut sockets), slot);
        assert!(sockets.named(name).is_none());
        sockets.refused_run(name, 1, false);
        assert!(sockets.takes_run(slot, 1));
    }

    fn arm_all(sockets: &mut Sockets) -> Vec<OpToken> {
        let mut armed = Vec::new();
        sockets.arm_ended(|_, token| {
            armed.push(token);
            true
        });
        armed
    }

    #[test]
    fn slot_of_an_armed_socket_is_reused_only_after_its_last_completion() {
        let mut sockets = Sockets::default();
        let slot = insert(&mut sockets);
        let token = arm_all(&mut sockets)[0];
        assert!(sockets.role(token).is_some());
        sockets.close(slot);
        assert_eq!(sockets.role(token), None);
        assert_ne!(insert(&mut sockets), slot);
        assert_eq!(sockets.receive_ended(token), AfterEnd::Closed);
        assert_eq!(insert(&mut sockets), slot);
        assert_eq!(sockets.receive_ended(token), AfterEnd::Stale);
        assert_eq!(sockets.role(token), None);
    }

    #[test]
    fn socket_that_is_not_armed_closes_at_once_and_is_not_armed_later() {
        let mut sockets = Sockets::default();
        let slot = insert(&mut sockets);
        sockets.close(slot);
        assert!(arm_all(&mut sockets).is_empty());
        assert_eq!(insert(&mut sockets), slot);
        assert_eq!(arm_all(&mut sockets).len(), 1);
    }

    #[test]
    fn descriptor_stays_until_sends_through_it_are_flushed() {
        let mut sockets = Sockets::default();
        let slot = insert(&mut sockets);
        let address = sockets.socket(slot).unwrap().local_addr().unwrap();
        let address = address.as_socket().unwrap();
        sockets.close(slot);
        sockets.close_retired(|| false);
        assert!(std::net::UdpSocket::bind(address).is_err());
        sockets.close_retired(|| true);
        assert!(std::net::UdpSocket::bind(address).is_ok());
    }

    #[test]
    fn failed_receive_waits_until_revived() {
        let mut sockets = Sockets::default();
        insert(&mut sockets);
        let token = arm_all(&mut sockets)[0];
        assert_eq!(sockets.receive_failed(token), AfterEnd::Rearm);
        assert!(arm_all(&mut sockets).is_empty());
        sockets.revive();
        assert_eq!(arm_all(&mut sockets).len(), 1);
    }

    #[test]
    fn refused_arming_and_cancelling_is_tried_again() {
        let mut sockets = Sockets::default();
        let slot = insert(&mut sockets);
        sockets.arm_ended(|_, _| false);
        assert_eq!(arm_all(&mut sockets).len(), 1);
        sockets.close(slot);
        sockets.cancel_closing(|_| false);
        let mut cancelled = 0;
        for _ in 0..2 {
            sockets.cancel_closing(|_| {
                cancelled += 1;
                true
            });
        }
        assert_eq!(cancelled, 1);
    }
}
