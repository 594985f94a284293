//! Writes a message into the caller's buffer (RFC 8489 sections 5 and 14).
//!
//! Errors stick: everything after the first is skipped and [`MessageBuilder::finish`] reports it,
//! so a message is built in one sentence. Bounded by the buffer and the 16-bit length field.

use crate::fingerprint::{FINGERPRINT_LEN, fingerprint};
use crate::header::message_type;
use crate::integrity::mac;
use crate::message::header_with_length;
use crate::{
    Attribute, AttributeType, Class, EncodeError, HEADER_LEN, IntegrityAlgorithm, IntegrityKey,
    MAGIC_COOKIE, Method, TransactionId, ValueWriter,
};

/// A message being written.
#[derive(Debug)]
pub struct MessageBuilder<'b> {
    buf: &'b mut [u8],
    len: usize,
    transaction_id: TransactionId,
    sealed: Sealed,
    error: Option<EncodeError>,
}

/// Which of the attributes that must come last are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sealed {
    Open,
    Sha1,
    Sha256,
    Fingerprint,
}

impl<'b> MessageBuilder<'b> {
    /// Starts a message at the buffer's first byte.
    pub fn new(
        buf: &'b mut [u8],
        class: Class,
        method: Method,
        transaction_id: TransactionId,
    ) -> Self {
        let mut builder = Self {
            buf,
            len: 0,
            transaction_id,
            sealed: Sealed::Open,
            error: None,
        };
        builder.write(&message_type(class, method).to_be_bytes());
        builder.write(&[0, 0]);
        builder.write(&MAGIC_COOKIE.to_be_bytes());
        builder.write(&transaction_id.0);
        builder
    }

    /// Adds an attribute.
    pub fn attribute<'v>(&mut self, attribute: &impl Attribute<'v>) -> &mut Self {
        self.seal(Sealed::Open);
        let transaction_id = self.transaction_id;
        self.value(attribute.attribute_type(), |writer| {
            attribute.encode(&transaction_id, writer)
        })
    }

    /// Adds an attribute from its type and value; the padding is zero.
    pub fn raw(&mut self, kind: AttributeType, value: &[u8]) -> &mut Self {
        self.seal(Sealed::Open);
        self.value(kind, |writer| writer.write(value))
    }

    /// Adds MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 over what is written so far.
    pub fn integrity(&mut self, algorithm: IntegrityAlgorithm, key: &IntegrityKey) -> &mut Self {
        self.integrity_of_len(algorithm, key, algorithm.mac_len())
    }

    /// Adds a MESSAGE-INTEGRITY-SHA256 truncated to `len` bytes, which must be 16, 20, 24, 28 or 32
    /// (RFC 8489 section 14.6).
    pub fn truncated_sha256_integrity(&mut self, key: &IntegrityKey, len: usize) -> &mut Self {
        if !IntegrityAlgorithm::Sha256.allows_len(len) {
            self.fail(EncodeError::ValueTooLong);
            return self;
        }
        self.integrity_of_len(IntegrityAlgorithm::Sha256, key, len)
    }

    fn integrity_of_len(
        &mut self,
        algorithm: IntegrityAlgorithm,
        key: &IntegrityKey,
        len: usize,
    ) -> &mut Self {
        self.seal(match algorithm {
            IntegrityAlgorithm::Sha1 => Sealed::Sha1,
            IntegrityAlgorithm::Sha256 => Sealed::Sha256,
        });
        let Some((header, body)) = self.covered(len) else {
            return self;
        };
        let mac = mac(algorithm, key, &header, body);
        let value = mac.as_slice().get(..len).unwrap_or_default();
        self.value(algorithm.attribute_type(), |writer| writer.write(value))
    }

    /// Adds FINGERPRINT over what is written so far.
    pub fn fingerprint(&mut self) -> &mut Self {
        self.seal(Sealed::Fingerprint);
        let Some((header, body)) = self.covered(FINGERPRINT_LEN) else {
            return self;
        };
        let value = fingerprint(&header, body).to_be_bytes();
        self.value(AttributeType::FINGERPRINT, |writer| writer.write(&value))
    }

    /// The message's length in bytes.
    ///
    /// # Errors
    ///
    /// The first thing that went wrong; the buffer then holds no message.
    pub fn finish(&mut self) -> Result<usize, EncodeError> {
        if self.error.is_none() {
            match u16::try_from(self.len - HEADER_LEN) {
                Ok(length) => self.patch(2, &length.to_be_bytes()),
                Err(_) => self.fail(EncodeError::NoRoom),
            }
        }
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.len),
        }
    }

    fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }

    /// Nothing but what comes later in [`Sealed`] may follow, and each of those only once.
    fn seal(&mut self, next: Sealed) {
        if next < self.sealed || (next == self.sealed && next != Sealed::Open) {
            self.fail(EncodeError::Misordered);
        }
        self.sealed = next;
    }

    /// What an attribute with a value of `value_len` bytes covers: the header as it will stand
    /// when that attribute is the last, and the body before it.
    fn covered(&self, value_len: usize) -> Option<([u8; HEADER_LEN], &[u8])> {
        if self.error.is_some() {
            return None;
        }
        let (header, body) = self
            .buf
            .get(..self.len)?
            .split_first_chunk::<HEADER_LEN>()?;
        Some((header_with_length(header, body.len() + 4 + value_len), body))
    }

    fn value(&mut self, kind: AttributeType, fill: impl FnOnce(&mut ValueWriter<'_>)) -> &mut Self {
        self.write(&kind.0.to_be_bytes());
        self.write(&[0, 0]);
        if self.error.is_some() {
            return self;
        }
        let start = self.len;
        let mut writer = ValueWriter::new(self.buf.get_mut(start..).unwrap_or_default());
        fill(&mut writer);
        let (written, error) = writer.finish();
        self.len += written;
        self.error = error;
        match u16::try_from(written) {
            Ok(length) => self.patch(start - 2, &length.to_be_bytes()),
            Err(_) => self.fail(EncodeError::ValueTooLong),
        }
        let padding = written.next_multiple_of(4) - written;
        self.write([0; 3].get(..padding).unwrap_or_default());
        self
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_some() {
            return;
        }
        let end = self.len + bytes.len();
        match self.buf.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.fail(EncodeError::NoRoom),
        }
    }

    fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.buf.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}
