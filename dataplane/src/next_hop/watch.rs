//! The thread that keeps next hops fresh: it sleeps until the kernel says that something changed.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::NextHops;
use super::message::Change;
use crate::netlink::MESSAGE_MAX;

/// How often unknown neighbours are asked for, and silent ones whether they are still there.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Between two goes through all that hold ids: a route that flaps must not keep a core busy.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Events taken together.
const CHANGES_MAX: usize = 1_024;

/// What the kernel may hold back for us before it gives up on telling.
const QUEUE_BYTES: usize = 4 << 20;

/// The running thread. Dropping it stops it.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts it in the calling thread's network namespace. `moved` is called when ids may have to
    /// be asked for again, after the epoch has moved on.
    ///
    /// # Errors
    /// When the kernel gives no socket, event descriptor or thread.
    pub fn start(hops: Arc<NextHops>, moved: impl Fn() + Send + 'static) -> io::Result<Self> {
        let events = Events::new()?;
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("next-hops".to_owned())
            .spawn(move || run(&hops, events, &stopped, moved))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The counter of the descriptor cannot be full: it is written once.
        let _written = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn run(hops: &NextHops, mut events: Events, stop: &EventFd, moved: impl Fn()) {
    let mut asked = Instant::now();
    let (mut is_moved, mut followed) = (false, None::<Instant>);
    loop {
        let rest = followed.map_or(Duration::ZERO, |at| {
            FOLLOW_EVERY.saturating_sub(at.elapsed())
        });
        if is_moved && rest.is_zero() {
            (is_moved, followed) = (false, Some(Instant::now()));
            moved();
        }
        let patience = if is_moved { rest } else { ASK_EVERY };
        match events.wait(stop, patience) {
            Ok(Woken::ToStop) | Err(_) => return,
            Ok(Woken::ByEvents) => {
                is_moved |= match events.read() {
                    Ok(changes) => hops.take(&changes),
                    Err(_lost) => {
                        hops.start_over();
                        true
                    }
                };
            }
            Ok(Woken::ByTime) => {}
        }
        if asked.elapsed() >= ASK_EVERY {
            asked = Instant::now();
            hops.ask();
        }
    }
}

enum Woken {
    ToStop,
    ByEvents,
    ByTime,
}

struct Events {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Events {
    fn new() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.set_rx_buf_sz(QUEUE_BYTES)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            socket.add_membership(*group)?;
        }
        socket.set_non_blocking(true)?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(MESSAGE_MAX),
        })
    }

    fn wait(&self, stop: &EventFd, patience: Duration) -> io::Result<Woken> {
        let mut fds = [
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
        ];
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [stop, events] = fds.map(|fd| fd.any().unwrap_or(false));
        Ok(match (stop, events) {
            (true, _) => Woken::ToStop,
            (_, true) => Woken::ByEvents,
            _ => Woken::ByTime,
        })
    }

    /// What has come.
    ///
    /// # Errors
    /// When the kernel had more to say than fits, so that some of it is lost.
    fn read(&mut self) -> io::Result<Vec<Change>> {
        let mut changes = Vec::new();
        while changes.len() < CHANGES_MAX {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => read_all(&self.buffer, &mut changes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(changes)
    }
}

/// A datagram may hold several messages, each padded to four bytes.
fn read_all(mut bytes: &[u8], changes: &mut Vec<Change>) {
    while let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) {
        let len = (message.header.length as usize).next_multiple_of(4);
        if let NetlinkPayload::InnerMessage(inner) = &message.payload {
            changes.extend(Change::read(inner));
        }
        let Some(rest) = bytes.get(len..).filter(|_| len > 0) else {
            return;
        };
        bytes = rest;
    }
}

/// `RTNLGRP_LINK`, `_NEIGH`, `_IPV4_ROUTE`, `_IPV4_RULE`, `_IPV6_ROUTE`, `_IPV6_RULE`.
const GROUPS: &[u32] = &[1, 3, 7, 8, 11, 19];
