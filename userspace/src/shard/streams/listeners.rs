//! Where clients connect: listening sockets, each with one accept that goes on and on.

use socket2::Socket;
use turnpike_types::{ServerAddr, Transport};

use crate::uring::{OpKind, OpToken, Ring, Via};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accept {
    Armed,
    /// To be armed by [`Listeners::arm`].
    Ended,
    /// To be armed after [`Listeners::revive`]: at once it would only fail again.
    Failed,
}

#[derive(Debug)]
struct Listener {
    transport: Transport,
    server: ServerAddr,
    via: Via,
    accept: Accept,
    /// Open as long as the shard lives.
    _socket: Socket,
}

/// The listening sockets of one shard; they stay as long as it lives.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    all: Vec<Listener>,
    /// Whether one is to be armed.
    is_ended: bool,
}

impl Listeners {
    pub(super) fn add(&mut self, listener: crate::shard::Listener, via: Via) {
        self.is_ended = true;
        self.all.push(Listener {
            transport: listener.transport,
            server: listener.server,
            via,
            accept: Accept::Ended,
            _socket: listener.socket,
        });
    }

    /// What clients of the accept named by `token` speak, and to which address.
    pub(super) fn of(&self, token: OpToken) -> Option<(Transport, ServerAddr)> {
        let listener = self.all.get(token.slot as usize)?;
        Some((listener.transport, listener.server))
    }

    /// Notes that an accept ended, to be armed again at once.
    pub(super) fn ended(&mut self, token: OpToken) {
        if let Some(listener) = self.all.get_mut(token.slot as usize) {
            listener.accept = Accept::Ended;
            self.is_ended = true;
        }
    }

    /// Notes that an accept failed, to be armed again after [`revive`](Self::revive).
    pub(super) fn failed(&mut self, token: OpToken) {
        if let Some(listener) = self.all.get_mut(token.slot as usize) {
            listener.accept = Accept::Failed;
        }
    }

    pub(super) fn revive(&mut self) {
        for listener in &mut self.all {
            if listener.accept == Accept::Failed {
                listener.accept = Accept::Ended;
                self.is_ended = true;
            }
        }
    }

    /// Arms what has ended, until the ring refuses.
    pub(super) fn arm(&mut self, ring: &mut Ring) {
        if !self.is_ended {
            return;
        }
        for (slot, listener) in self.all.iter_mut().enumerate() {
            let token = OpToken::new(OpKind::Accept, slot as u32, 0);
            if listener.accept == Accept::Ended {
                if !ring.accept(listener.via, token) {
                    return;
                }
                listener.accept = Accept::Armed;
            }
        }
        self.is_ended = false;
    }
}
