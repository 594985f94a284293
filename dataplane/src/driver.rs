//! What a driver says that its XDP can do: one question to the kernel's generic netlink family `netdev`
//! (`Documentation/netlink/specs/netdev.yaml`), which there is since Linux 6.3.
//!
//! Not here: whether an attach will work, which only an attach can tell.

use std::io;

use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

/// What a driver's XDP can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    /// Run a program, and send a packet back by the same device.
    const BASIC: u64 = 1;
    /// Send a packet to another device.
    const REDIRECT: u64 = 1 << 1;
    /// Take packets that programs of other devices send to this one.
    const TAKES: u64 = 1 << 2;

    /// Of a device; `None` where this kernel or this device does not say.
    #[must_use]
    pub fn of(device: &str) -> Option<Self> {
        let index = nix::net::if_::if_nametoindex(device).ok()?;
        ask(index).ok().flatten().map(Self)
    }

    /// Whether programs run in the driver, and may send packets back.
    #[must_use]
    pub const fn runs_programs(self) -> bool {
        self.0 & Self::BASIC != 0
    }

    /// Whether programs may send packets to other devices.
    #[must_use]
    pub const fn redirects(self) -> bool {
        self.0 & Self::REDIRECT != 0
    }

    /// Whether it takes packets of other devices' programs. Most drivers do once they have a program.
    #[must_use]
    pub const fn takes_redirected(self) -> bool {
        self.0 & Self::TAKES != 0
    }
}

fn ask(index: u32) -> io::Result<Option<u64>> {
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    // The kernel answers at once.
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(1, 0))?;
    let family = converse(&socket, CONTROL, GET_FAMILY, (FAMILY_NAME, b"netdev\0"))?;
    let Some(family) = attribute(&family, FAMILY_ID).and_then(|id| id.try_into().ok()) else {
        return Ok(None);
    };
    let family = u16::from_ne_bytes(family);
    let device = converse(&socket, family, GET_DEVICE, (DEVICE, &index.to_ne_bytes()))?;
    let features = attribute(&device, XDP_FEATURES).and_then(|it| it.try_into().ok());
    Ok(features.map(u64::from_ne_bytes))
}

/// Asks a family to do something with one attribute; the answer's attributes. None for an error.
fn converse(
    socket: &Socket,
    family: u16,
    command: u8,
    (kind, value): (u16, &[u8]),
) -> io::Result<Vec<u8>> {
    let attribute = ATTRIBUTE + value.len();
    let length = HEADERS + attribute.next_multiple_of(4);
    let mut question = Vec::with_capacity(length);
    question.extend(u32::try_from(length).unwrap_or(0).to_ne_bytes());
    question.extend(family.to_ne_bytes());
    question.extend(REQUEST.to_ne_bytes());
    // Sequence and port: one question at a time, on a socket of its own.
    question.extend([0; 8]);
    question.extend([command, 1, 0, 0]);
    question.extend(u16::try_from(attribute).unwrap_or(0).to_ne_bytes());
    question.extend(kind.to_ne_bytes());
    question.extend(value);
    question.resize(length, 0);
    socket.send(&question, 0)?;
    let mut answer = Vec::with_capacity(ANSWER_MAX);
    socket.recv(&mut answer, 0)?;
    let is_error = answer.get(4..6) == Some(&ERROR.to_ne_bytes());
    Ok(match answer.get(HEADERS..) {
        Some(attributes) if !is_error => attributes.to_vec(),
        _ => Vec::new(),
    })
}

/// The value of the first attribute of a kind.
fn attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    while let Some(([low, high, k, l], _)) = bytes.split_first_chunk::<ATTRIBUTE>() {
        let length = usize::from(u16::from_ne_bytes([*low, *high]));
        if u16::from_ne_bytes([*k, *l]) & KIND == kind {
            return bytes.get(ATTRIBUTE..length);
        }
        bytes = bytes.get(length.max(ATTRIBUTE).next_multiple_of(4)..)?;
    }
    None
}

/// `nlmsghdr` and `genlmsghdr`.
const HEADERS: usize = 16 + 4;
/// `nlattr`.
const ATTRIBUTE: usize = 4;
/// `NLA_TYPE_MASK`.
const KIND: u16 = 0x3fff;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `GENL_ID_CTRL`, the family that knows the others.
const CONTROL: u16 = 0x10;
/// `CTRL_CMD_GETFAMILY`.
const GET_FAMILY: u8 = 3;
/// `CTRL_ATTR_FAMILY_ID`.
const FAMILY_ID: u16 = 1;
/// `CTRL_ATTR_FAMILY_NAME`.
const FAMILY_NAME: u16 = 2;
/// `NETDEV_CMD_DEV_GET`.
const GET_DEVICE: u8 = 1;
/// `NETDEV_A_DEV_IFINDEX`.
const DEVICE: u16 = 1;
/// `NETDEV_A_DEV_XDP_FEATURES`.
const XDP_FEATURES: u16 = 3;
/// More than the kernel says about a family or a device.
const ANSWER_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_is_found_behind_others_and_padding() {
        let bytes = [
            [5, 0, 1, 0, 7, 0, 0, 0].as_slice(),
            &[12, 0, 3, 0, 3, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(attribute(&bytes, 1), Some([7].as_slice()));
        assert_eq!(
            attribute(&bytes, 3),
            Some([3, 0, 0, 0, 0, 0, 0, 0].as_slice())
        );
        assert_eq!(attribute(&bytes, 2), None);
        assert_eq!(attribute(&[0, 0, 1, 0], 1), None, "shorter than its header");
        assert_eq!(attribute(&[], 1), None);
    }

    #[test]
    fn device_that_is_not_there_says_nothing() {
        assert_eq!(Features::of("nowhere0"), None);
    }
}
