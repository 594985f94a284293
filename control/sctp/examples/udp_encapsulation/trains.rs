//! A UDP socket that sends and takes trains: many datagrams of one length, the last maybe shorter,
//! in one call (Linux's UDP_SEGMENT and UDP_GRO). A packet costs its share of a call instead of one.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::sockopt::{RcvBuf, SndBuf, UdpGroSegment};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
};

pub(crate) struct Trains {
    socket: UdpSocket,
    /// Datagrams that wait to be sent, behind each other.
    waiting: Vec<u8>,
    waiting_len: usize,
    /// How long each of them is, but for the last.
    segment: usize,
    count: usize,
    arrived: Vec<u8>,
    /// For what the kernel says of a train's segments.
    control: Vec<u8>,
    packet_size_max: usize,
}

/// What came in one call.
pub(crate) struct Arrival {
    pub(crate) from: SocketAddr,
    len: usize,
    segment: usize,
}

impl Trains {
    /// A socket on a port of loopback, zero for any, for packets of up to so many bytes.
    pub(crate) fn bind(port: u16, packet_size_max: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
        setsockopt(&socket, UdpGroSegment, &true)?;
        // As much as the system grants.
        setsockopt(&socket, RcvBuf, &SOCKET_BUFFER)?;
        setsockopt(&socket, SndBuf, &SOCKET_BUFFER)?;
        Ok(Self {
            socket,
            waiting: vec![0; TRAIN_BYTES_MAX + packet_size_max],
            waiting_len: 0,
            segment: 0,
            count: 0,
            arrived: vec![0; 65_536],
            control: cmsg_space!(i32),
            packet_size_max,
        })
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Where the next datagram is to be written.
    pub(crate) fn next(&mut self) -> &mut [u8] {
        let end = self.waiting_len + self.packet_size_max;
        self.waiting
            .get_mut(self.waiting_len..end)
            .unwrap_or_default()
    }

    /// Takes the datagram of so many bytes that was written there along. What does not belong to
    /// the same train goes before it.
    pub(crate) fn push(&mut self, len: usize, to: SocketAddr) -> io::Result<()> {
        if self.count > 0 && len > self.segment {
            let start = self.waiting_len;
            self.flush(to)?;
            self.waiting.copy_within(start..start + len, 0);
        }
        if self.count == 0 {
            self.segment = len;
        }
        self.waiting_len += len;
        self.count += 1;
        let is_full = self.count == TRAIN_COUNT_MAX
            || self.waiting_len + self.segment > TRAIN_BYTES_MAX
            || len < self.segment;
        if is_full {
            self.flush(to)?;
        }
        Ok(())
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self, to: SocketAddr) -> io::Result<()> {
        let train = self.waiting.get(..self.waiting_len).unwrap_or_default();
        if train.is_empty() {
            return Ok(());
        }
        let segment = u16::try_from(self.segment).unwrap_or(u16::MAX);
        let segments = [ControlMessage::UdpGsoSegments(&segment)];
        let control: &[ControlMessage<'_>] = if self.count > 1 { &segments } else { &[] };
        let to = v4(to)?;
        let fd = self.socket.as_raw_fd();
        let sent = sendmsg(
            fd,
            &[IoSlice::new(train)],
            control,
            MsgFlags::empty(),
            Some(&to),
        );
        (self.waiting_len, self.count) = (0, 0);
        match sent {
            // Nobody listens yet, or the way is full: as if it had been lost.
            Ok(_) | Err(Errno::ECONNREFUSED | Errno::ENOBUFS | Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What has come, if anything has.
    pub(crate) fn receive(&mut self) -> io::Result<Option<Arrival>> {
        let mut parts = [IoSliceMut::new(&mut self.arrived)];
        let received = recvmsg::<SockaddrIn>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut self.control),
            MsgFlags::MSG_DONTWAIT,
        );
        let message = match received {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let said = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::UdpGroSegments(segment) => usize::try_from(segment).ok(),
            _ => None,
        });
        let Some(from) = message.address.map(SocketAddrV4::from) else {
            return Ok(None);
        };
        Ok(Some(Arrival {
            from: from.into(),
            len: message.bytes,
            segment: said.unwrap_or(message.bytes).max(1),
        }))
    }

    /// The datagrams of the last arrival.
    pub(crate) fn datagrams(&self, arrival: &Arrival) -> impl Iterator<Item = &[u8]> {
        let bytes = self.arrived.get(..arrival.len).unwrap_or_default();
        bytes.chunks(arrival.segment)
    }

    /// Waits until something comes, at most so long.
    pub(crate) fn wait(&self, limit: Duration) -> io::Result<()> {
        let mut sockets = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut sockets, Some(limit.into()), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn v4(address: SocketAddr) -> io::Result<SockaddrIn> {
    match address {
        SocketAddr::V4(address) => Ok(address.into()),
        SocketAddr::V6(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// The kernel takes no more segments than this in one call, and no more than a UDP datagram holds.
const TRAIN_COUNT_MAX: usize = 64;
const TRAIN_BYTES_MAX: usize = 65_507;

const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
