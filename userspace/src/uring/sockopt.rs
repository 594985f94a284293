//! The socket options that no safe crate offers.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use socket2::SockFilter;

/// What becomes of a datagram that is larger than the path's MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentPolicy {
    /// It is fragmented; the DF bit is clear.
    Fragment,
    /// It is refused; the DF bit is set (RFC 8656 DONT-FRAGMENT).
    DontFragment,
}

/// Sets the policy on an IPv4 or, with `is_ipv6`, an IPv6 socket.
///
/// # Errors
/// The kernel's, when the descriptor is not such a socket.
pub fn set_fragment_policy(
    socket: &impl AsFd,
    is_ipv6: bool,
    policy: FragmentPolicy,
) -> io::Result<()> {
    let value = match policy {
        FragmentPolicy::Fragment => libc::IP_PMTUDISC_DONT,
        FragmentPolicy::DontFragment => libc::IP_PMTUDISC_DO,
    };
    if is_ipv6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, &value)
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &value)
    }
}

/// Lets the kernel hand over datagrams of one sender that came together as one run (`UDP_GRO`). A
/// receive with too little room loses the end of a run.
///
/// # Errors
/// The kernel's, when the descriptor is not a UDP socket.
pub fn receive_runs(socket: &impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    set_option(socket, libc::SOL_UDP, libc::UDP_GRO, &on)
}

/// Makes a raw ICMP (or, with `is_ipv6`, ICMPv6) socket receive errors about datagrams only:
/// destination unreachable, packet too big, time exceeded, parameter problem.
///
/// # Errors
/// The kernel's, when the descriptor is not a raw ICMP socket.
pub fn filter_icmp_errors(socket: &impl AsFd, is_ipv6: bool) -> io::Result<()> {
    if is_ipv6 {
        const ICMP6_FILTER: libc::c_int = 1;
        // A set bit blocks its type; types 1 to 4 are the errors of RFC 4443.
        let mut blocked = [u32::MAX; 8];
        blocked[0] = !0b1_1110;
        set_option(socket, libc::IPPROTO_ICMPV6, ICMP6_FILTER, &blocked)
    } else {
        const SOL_RAW: libc::c_int = 255;
        const ICMP_FILTER: libc::c_int = 1;
        // Types 3, 11 and 12 of RFC 792.
        let blocked: u32 = !(1 << 3 | 1 << 11 | 1 << 12);
        set_option(socket, SOL_RAW, ICMP_FILTER, &blocked)
    }
}

/// Has a classic BPF program choose, for each datagram, among the UDP sockets that share an address
/// by SO_REUSEPORT: it answers with a place in the order of their binding. Any of them will do as
/// `socket`. The kernel itself chooses where the answer names none.
///
/// # Errors
/// The kernel's, when the program is not sound or the socket shares no address.
pub fn steer_group(socket: &impl AsFd, program: &[SockFilter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        // `SockFilter` is a transparent `sock_filter`; the kernel copies the program within the call.
        filter: program.as_ptr().cast_mut().cast(),
    };
    set_option(
        socket,
        libc::SOL_SOCKET,
        libc::SO_ATTACH_REUSEPORT_CBPF,
        &program,
    )
}

/// How many datagrams the kernel has dropped at a socket, for want of room in its receive queue or
/// for a wrong checksum; wraps.
///
/// # Errors
/// The kernel's, when the descriptor is not a socket.
pub fn receive_drops(socket: &impl AsFd) -> io::Result<u32> {
    // Linux: sock_diag.h, SK_MEMINFO_DROPS and SK_MEMINFO_VARS.
    const DROPS: usize = 8;
    let mut counters = [0_u32; 9];
    let mut bytes = size_of_val(&counters) as libc::socklen_t;
    // SAFETY: the descriptor is open for the borrow's length; the kernel writes at most `bytes`
    // bytes, the size of `counters`, and the length it wrote.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            counters.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    if result == 0 {
        Ok(counters[DROPS])
    } else {
        Err(io::Error::last_os_error())
    }
}

fn set_option<T: Copy>(
    socket: &impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the descriptor is open for the borrow's length, and the kernel reads exactly
    // `size_of::<T>()` bytes of a live, initialised plain value; it keeps no pointer. Where the value
    // itself points (a program), its caller borrows what it points at for the length of the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Leaves the checksum out of what an IPv4 socket sends, on which the kernel refuses runs.
#[cfg(test)]
pub(crate) fn no_checksums(socket: &impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    set_option(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, &on)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn full_receive_queue_counts_what_it_drops() {
        const SENT: usize = 5_000;
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        assert_eq!(receive_drops(&socket).unwrap(), 0);
        for _ in 0..SENT {
            UdpSocket::send_to(&socket, &[0; 100], address).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        let received = std::iter::from_fn(|| socket.recv(&mut [0; 100]).ok()).count();
        assert_eq!(receive_drops(&socket).unwrap() as usize, SENT - received);
        assert!(received < SENT);
    }

    #[test]
    fn fragment_policy_is_per_family() {
        let v4 = UdpSocket::bind("127.0.0.1:0").unwrap();
        let v6 = UdpSocket::bind("[::1]:0").unwrap();
        for policy in [FragmentPolicy::DontFragment, FragmentPolicy::Fragment] {
            set_fragment_policy(&v4, false, policy).unwrap();
            set_fragment_policy(&v6, true, policy).unwrap();
        }
        assert!(set_fragment_policy(&v4, true, FragmentPolicy::Fragment).is_err());
    }
}
