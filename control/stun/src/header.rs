//! The message header (RFC 8489 section 5): type, length, magic cookie, transaction ID.

use core::fmt;

use turnpike_types::Entropy;

/// Bytes of the header before the first attribute.
pub const HEADER_LEN: usize = 20;

/// The third to sixth byte pair of every message since RFC 5389.
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// What a message is within its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Asks for a response.
    Request,
    /// Asks for nothing.
    Indication,
    /// Grants a request.
    Success,
    /// Refuses a request.
    Error,
}

impl Class {
    const fn bits(self) -> u16 {
        match self {
            Self::Request => 0x0000,
            Self::Indication => 0x0010,
            Self::Success => 0x0100,
            Self::Error => 0x0110,
        }
    }

    const fn of_message_type(message_type: u16) -> Self {
        match (message_type & 0x0100 != 0, message_type & 0x0010 != 0) {
            (false, false) => Self::Request,
            (false, true) => Self::Indication,
            (true, false) => Self::Success,
            (true, true) => Self::Error,
        }
    }

    /// Whether the message answers a request.
    #[must_use]
    pub const fn is_response(self) -> bool {
        matches!(self, Self::Success | Self::Error)
    }
}

/// A twelve-bit method number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(u16);

impl Method {
    /// RFC 8489 section 3
    pub const BINDING: Self = Self(0x001);
    /// RFC 8656 section 17
    pub const ALLOCATE: Self = Self(0x003);
    /// RFC 8656 section 17
    pub const REFRESH: Self = Self(0x004);
    /// RFC 8656 section 17; indications only
    pub const SEND: Self = Self(0x006);
    /// RFC 8656 section 17; indications only
    pub const DATA: Self = Self(0x007);
    /// RFC 8656 section 17
    pub const CREATE_PERMISSION: Self = Self(0x008);
    /// RFC 8656 section 17
    pub const CHANNEL_BIND: Self = Self(0x009);

    /// Keeps the low twelve bits.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number & 0x0FFF)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    const fn bits(self) -> u16 {
        ((self.0 & 0x0F80) << 2) | ((self.0 & 0x0070) << 1) | (self.0 & 0x000F)
    }

    const fn of_message_type(message_type: u16) -> Self {
        Self(
            ((message_type & 0x3E00) >> 2)
                | ((message_type & 0x00E0) >> 1)
                | (message_type & 0x000F),
        )
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::BINDING => "Binding",
            Self::ALLOCATE => "Allocate",
            Self::REFRESH => "Refresh",
            Self::SEND => "Send",
            Self::DATA => "Data",
            Self::CREATE_PERMISSION => "CreatePermission",
            Self::CHANNEL_BIND => "ChannelBind",
            Self(number) => return write!(f, "Method(0x{number:03x})"),
        })
    }
}

/// The class and method interleaved as on the wire; the top two bits are zero.
pub(crate) const fn message_type(class: Class, method: Method) -> u16 {
    class.bits() | method.bits()
}

/// Takes the fourteen bits of a message type apart.
pub(crate) const fn split_message_type(message_type: u16) -> (Class, Method) {
    (
        Class::of_message_type(message_type),
        Method::of_message_type(message_type),
    )
}

/// 96 random bits that tie a response to its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

impl TransactionId {
    /// Draws a fresh one. It must be unguessable: it is all that protects an unauthenticated
    /// response from forgery (RFC 8489 section 5).
    #[must_use]
    pub fn random(entropy: &mut impl Entropy) -> Self {
        let mut bytes = [0; 12];
        entropy.fill(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransactionId(")?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_and_class_survives_the_message_type() {
        for number in 0..=0x0FFF {
            for class in [
                Class::Request,
                Class::Indication,
                Class::Success,
                Class::Error,
            ] {
                let message_type = message_type(class, Method::new(number));
                assert_eq!(message_type & 0xC000, 0);
                assert_eq!(
                    split_message_type(message_type),
                    (class, Method::new(number))
                );
            }
        }
    }

    #[test]
    fn well_known_message_types_are_those_of_the_registries() {
        assert_eq!(message_type(Class::Request, Method::BINDING), 0x0001);
        assert_eq!(message_type(Class::Success, Method::BINDING), 0x0101);
        assert_eq!(message_type(Class::Error, Method::ALLOCATE), 0x0113);
        assert_eq!(message_type(Class::Indication, Method::SEND), 0x0016);
        assert_eq!(message_type(Class::Indication, Method::DATA), 0x0017);
    }
}
