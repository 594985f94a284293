//! Questions to the kernel's routing tables (rtnetlink), one at a time, over one socket.

use std::io;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// A socket in the calling thread's network namespace.
    pub(crate) fn new() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // The kernel answers at once, or a question was lost: that counts as no answer.
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(1, 0))?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: Vec::with_capacity(MESSAGE_MAX),
        })
    }

    /// Asks and reads until the answer; `None` for an error, or an acknowledgement.
    pub(crate) fn answer(
        &mut self,
        question: RouteNetlinkMessage,
        flags: u16,
    ) -> Option<RouteNetlinkMessage> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(question));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).ok()?;
        // Late answers to earlier questions are skipped, as many as there could be.
        for _ in 0..LATE_MAX {
            self.buffer.clear();
            self.socket.recv(&mut self.buffer, 0).ok()?;
            let said = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&self.buffer).ok()?;
            if said.header.sequence_number != self.sequence {
                continue;
            }
            return match said.payload {
                NetlinkPayload::InnerMessage(inner) => Some(inner),
                _ => None,
            };
        }
        None
    }
}

/// Longer than any message about one thing: a device's has its statistics in it.
pub(crate) const MESSAGE_MAX: usize = 64 << 10;

/// How many answers may be late.
const LATE_MAX: usize = 16;
