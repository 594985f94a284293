//! What comes out: events, then whole replies, then packets built on the spot (RFC 9260 section 6.10).

use alloc::vec;
use alloc::vec::Vec;

use super::{Association, PATH, State};
use crate::event::Events;
use crate::wire::{Checksum, Header, PacketWriter};
use crate::{Event, Output, Transmit};

impl Association {
    /// Yields the next output; a packet is written to `buf`, which should have
    /// [`Config::packet_size_max`](crate::Config::packet_size_max) bytes. With less, packets are
    /// smaller, or not sent.
    pub fn poll_output(&mut self, buf: &mut [u8]) -> Option<Output> {
        if let Some(event) = self.events.pop_front() {
            return Some(Output::Event(event));
        }
        if self.events.capacity() > EVENTS_KEPT {
            self.events = Events::new();
        }
        while let Some(event) = self.receiver.take_reset() {
            if event == Event::AssociationReset {
                self.association_reset_told();
            }
            if !self.is_over {
                return Some(Output::Event(event));
            }
        }
        while let Some(packet) = self.replies.pop_front() {
            if let Some(place) = buf.get_mut(..packet.len()) {
                place.copy_from_slice(&packet);
                return Some(transmit(packet.len()));
            }
        }
        if self.control.init {
            self.control.init = false;
            return self.build_init(buf);
        }
        if !self.has_peer() {
            return None;
        }
        let len = self.build_packet(buf)?;
        Some(transmit(len))
    }

    /// Queues a packet of its own with what `fill` writes, under the tag of whoever is meant.
    pub(super) fn reply(&mut self, tag: u32, fill: impl FnOnce(&mut PacketWriter<'_>)) {
        let mut packet = self.blank_packet();
        let header = self.header(tag);
        if let Some(mut writer) = PacketWriter::new(&mut packet, usize::MAX, header) {
            fill(&mut writer);
            let len = writer.finish(Checksum::Crc32c);
            packet.truncate(len);
            self.queue_reply(packet);
        }
    }

    /// Queues a packet as it is; a flood is not answered in full.
    pub(super) fn queue_reply(&mut self, packet: Vec<u8>) {
        if self.replies.len() < REPLIES_MAX {
            self.replies.push_back(packet);
        }
    }

    pub(super) fn blank_packet(&self) -> Vec<u8> {
        vec![0; self.path.packet_size_max]
    }

    pub(super) const fn header(&self, verification_tag: u32) -> Header {
        Header {
            source_port: self.config.local_port,
            destination_port: self.config.remote_port,
            verification_tag,
        }
    }

    fn build_init(&self, buf: &mut [u8]) -> Option<Output> {
        let mut writer = PacketWriter::new(buf, self.path.packet_size_max, self.header(0))?;
        self.write_init(&mut writer);
        (!writer.is_empty()).then(|| transmit(writer.finish(Checksum::Crc32c)))
    }

    /// Builds a packet of the association; `None` when there is nothing to send now.
    fn build_packet(&mut self, buf: &mut [u8]) -> Option<usize> {
        let header = self.header(self.peer_tag);
        let mut writer = PacketWriter::new(buf, self.path.packet_size_max, header)?;
        // DATA may follow a COOKIE ECHO, but not go alone before the COOKIE ACK (section 5.1).
        let is_echo = self.control.cookie_echo;
        let may_send_data = match self.state {
            State::Established | State::ShutdownPending | State::ShutdownReceived => true,
            State::CookieEchoed => is_echo,
            _ => false,
        };
        self.write_control(&mut writer);
        self.write_sack(may_send_data, &mut writer);
        if may_send_data {
            if self.sender.is_forward_due() {
                self.sender.write_forward(self.now, &self.path, &mut writer);
            }
            self.sender
                .fill(self.now, &mut self.path, &mut writer, &mut self.events);
        }
        if writer.is_empty() {
            return None;
        }
        let is_plain = self.negotiated.is_some_and(|n| n.has_zero_checksum) && !is_echo;
        Some(writer.finish(if is_plain {
            Checksum::Zero
        } else {
            Checksum::Crc32c
        }))
    }

    fn write_control(&mut self, writer: &mut PacketWriter<'_>) {
        if self.control.cookie_echo {
            let cookie = self.handshake.as_ref().map(|h| h.cookie.as_slice());
            self.control.cookie_echo = false;
            writer.cookie_echo(cookie.unwrap_or_default());
        }
        if self.control.cookie_ack && writer.cookie_ack() {
            self.control.cookie_ack = false;
        }
        if self.control.shutdown && writer.shutdown(self.receiver.cumulative()) {
            self.control.shutdown = false;
        }
        if self.control.shutdown_ack && writer.shutdown_ack() {
            self.control.shutdown_ack = false;
        }
        while let Some(info) = self.control.next_heartbeat_ack() {
            if !writer.heartbeat_ack(info) {
                break;
            }
            self.control.heartbeat_ack_sent();
        }
        while let Some(cause) = self.control.next_error() {
            if !writer.error(&[cause.borrow()]) {
                break;
            }
            self.control.error_sent();
        }
        if self.control.heartbeat {
            self.write_heartbeat(writer);
        }
        self.write_stream_reset(writer);
    }

    /// Adds a SACK that is due, or that DATA can carry along.
    fn write_sack(&mut self, may_send_data: bool, writer: &mut PacketWriter<'_>) {
        let goes_along =
            || may_send_data && self.sender.can_send(self.now, &self.path) || !writer.is_empty();
        if self.receiver.is_sack_due() || self.receiver.is_sack_pending() && goes_along() {
            self.receiver.write_sack(writer);
        }
    }
}

const fn transmit(len: usize) -> Output {
    Output::Transmit(Transmit { path: PATH, len })
}

/// An empty list of events keeps this many entries for next time.
const EVENTS_KEPT: usize = 64;
/// How many replies may wait.
const REPLIES_MAX: usize = 8;
