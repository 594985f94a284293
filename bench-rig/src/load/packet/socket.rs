//! Packet sockets, and the options that the safe wrappers do not know.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libc::{c_int, c_void, socklen_t};

use super::super::LoadError;
use super::filter::{self, Wanted};
use super::wire::Wire;

/// A socket that sends whole frames on a wire and receives nothing.
pub(super) fn for_sending(wire: &Wire<'_>) -> Result<OwnedFd, LoadError> {
    on_host(wire, |socket, device| {
        // What the relay has not yet taken up counts against the sender's buffer.
        set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &SEND_BUFFER)?;
        bind(socket, device, 0)
    })
}

/// A socket that receives a wire's frames to the virtual hosts; `prepare` makes its ring before
/// frames can come.
pub(super) fn for_receiving(
    wire: &Wire<'_>,
    wanted: Wanted,
    prepare: impl FnOnce(&OwnedFd) -> io::Result<()> + Send,
) -> Result<OwnedFd, LoadError> {
    on_host(wire, |socket, device| {
        attach(socket, &filter::program(wire.net, wanted))?;
        // Our own frames on their way out are no business of ours.
        set(socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1)?;
        prepare(socket)?;
        bind(socket, device, libc::ETH_P_ALL)
    })
}

/// Makes a packet socket on the wire's host, which stays there, and hands it on with the device's
/// index.
fn on_host(
    wire: &Wire<'_>,
    work: impl FnOnce(&OwnedFd, c_int) -> io::Result<()> + Send,
) -> Result<OwnedFd, LoadError> {
    let device = wire.device;
    let made = wire.host.enter(|| {
        let index = nix::net::if_::if_nametoindex(device)?;
        let socket = open()?;
        work(&socket, c_int::try_from(index).unwrap_or(0))?;
        Ok(socket)
    })?;
    made.map_err(LoadError::system(format!(
        "a packet socket on {device} of {}",
        wire.host.name()
    )))
}

fn open() -> io::Result<OwnedFd> {
    // Protocol 0: it receives nothing until it is bound to a protocol.
    // SAFETY: no pointers; the result is checked before it is used.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bind(socket: &OwnedFd, device: c_int, protocol: c_int) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap_or(0),
        sll_protocol: u16::try_from(protocol).unwrap_or(0).to_be(),
        sll_ifindex: device,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the address lives across the call and the length is its own; the kernel copies it.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            length_of::<libc::sockaddr_ll>(),
        )
    };
    checked(bound)
}

fn attach(socket: &OwnedFd, program: &[libc::sock_filter]) -> io::Result<()> {
    let described = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(0),
        // The kernel only reads it.
        filter: program.as_ptr().cast_mut(),
    };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &described)
}

/// Sets an option whose value is a plain C type.
pub(super) fn set<T>(socket: &OwnedFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    // SAFETY: the value lives across the call and the length is its own; the kernel copies it, and
    // what a filter's value points to is borrowed by our caller until then.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast::<c_void>(),
            length_of::<T>(),
        )
    };
    checked(done)
}

/// Frames that the socket dropped since this was last asked, because its ring was full.
pub(super) fn dropped(socket: &OwnedFd) -> io::Result<u64> {
    let mut statistics = libc::tpacket_stats {
        tp_packets: 0,
        tp_drops: 0,
    };
    let mut length = length_of::<libc::tpacket_stats>();
    // SAFETY: the kernel writes at most `length` bytes, the size of the structure, which lives
    // across the call and may hold any bits.
    let asked = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    checked(asked)?;
    Ok(statistics.tp_drops.into())
}

pub(super) fn checked(result: c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn length_of<T>() -> socklen_t {
    socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

/// Bytes of frames that the relay's device may hold back before sending has to wait.
const SEND_BUFFER: c_int = 64 << 20;
