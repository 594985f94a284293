//! TLS between the ring and the framing: bytes in, plaintext out, and back. The protocol is
//! rustls's; renegotiation does not exist there, and early data is not offered.
//!
//! Bounded: rustls takes in one record (at most 16 KiB) or one handshake message (at most 64 KiB)
//! at a time; what is written is sealed when the connection's queue is handed to the ring, and
//! leaves rustls at once.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::{InvalidMessage, ServerConfig, ServerConnection};
use turnpike_stun::stream::FrameHeader;

/// One client's TLS.
#[derive(Debug)]
pub(super) struct Tls {
    connection: Box<ServerConnection>,
}

/// Where a connection stands after bytes were taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Progress {
    /// More may come.
    Open,
    /// The client said that it sends no more.
    Ended,
}

impl Tls {
    /// `None` when the configuration does not allow any connection.
    pub(super) fn new(config: &Arc<ServerConfig>, queue_bytes: usize) -> Option<Self> {
        let mut connection = ServerConnection::new(Arc::clone(config)).ok()?;
        connection.set_buffer_limit(Some(queue_bytes));
        Some(Self {
            connection: Box::new(connection),
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether there are bytes for the client: a handshake's, an alert.
    pub(super) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Takes in what came from the client, and appends to `plain` what it means.
    ///
    /// # Errors
    /// When it is not TLS; an alert waits to be written then.
    pub(super) fn open(
        &mut self,
        mut bytes: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<Progress, rustls::Error> {
        let mut progress = Progress::Open;
        while !bytes.is_empty() && progress == Progress::Open {
            match self.connection.read_tls(&mut bytes) {
                Ok(1..) => {}
                Ok(0) => return Ok(Progress::Ended),
                // All that it held before was read: only a handshake message fills it.
                Err(_) => return Err(InvalidMessage::HandshakePayloadTooLarge.into()),
            }
            let state = self.connection.process_new_packets()?;
            if state.plaintext_bytes_to_read() > 0 {
                // At the end it wants more bytes, or has met the client's end; neither is news.
                let _no_more = self.connection.reader().read_to_end(plain);
            }
            if state.peer_has_closed() {
                progress = Progress::Ended;
            }
        }
        Ok(progress)
    }

    /// Appends to `sealed` what the client is to get: what TLS itself has to say, then the messages
    /// of `plain`, each in records of its own (one, if it is at most 16 KiB). TLS promises no such
    /// borders, but there are clients that read one record and take it for one message: coturn's
    /// `turnutils_uclient` counts what follows in the same record as lost.
    pub(super) fn seal(&mut self, plain: &[u8], sealed: &mut Vec<u8>) {
        self.write_out(sealed);
        let mut messages = plain;
        while !messages.is_empty() {
            let (message, rest) = split_first_message(messages);
            self.seal_message(message, sealed);
            messages = rest;
        }
    }

    fn seal_message(&mut self, message: &[u8], sealed: &mut Vec<u8>) {
        let mut rest = message;
        while !rest.is_empty() {
            // It takes as much as its limit allows; nothing only before the handshake is over, when
            // there is nothing to write.
            match self.connection.writer().write(rest) {
                Ok(taken) if taken > 0 => rest = rest.get(taken..).unwrap_or_default(),
                _ => return,
            }
            self.write_out(sealed);
        }
    }

    /// Appends to `sealed` that nothing more will come; once.
    pub(super) fn end(&mut self, sealed: &mut Vec<u8>) {
        self.connection.send_close_notify();
        self.write_out(sealed);
    }

    fn write_out(&mut self, sealed: &mut Vec<u8>) {
        while self.connection.wants_write() {
            // A vector takes everything.
            let result: io::Result<usize> = self.connection.write_tls(sealed);
            if !matches!(result, Ok(1..)) {
                return;
            }
        }
    }
}

/// Splits whole messages, as they were appended, after the first; padding belongs to it.
fn split_first_message(messages: &[u8]) -> (&[u8], &[u8]) {
    let header = FrameHeader::parse(messages).ok().flatten();
    header
        .and_then(|header| messages.split_at_checked(header.wire_len))
        .unwrap_or((messages, &[]))
}
