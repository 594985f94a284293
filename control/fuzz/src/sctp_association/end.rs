//! One end, and what must hold for it whatever comes.

use turnpike_sctp::wire::{ChecksumRule, Chunk, Packet, kind};
use turnpike_sctp::{Association, CloseReason, Config, Event, Incoming, Output};
use turnpike_types::Timestamp;

use crate::entropy::Seeded;

pub(super) struct End {
    pub(super) association: Association,
    pub(super) got: Vec<Incoming>,
    /// A caller that does not read closes the window.
    pub(super) is_reading: bool,
    pub(super) has_connected: bool,
    /// The tag and ports that this end sends with: what its peer wants to see.
    pub(super) sends_with: [u8; 8],
    memory_max: usize,
    closed: Option<CloseReason>,
    packet: Vec<u8>,
}

impl End {
    pub(super) fn new(config: Config, seed: u64) -> Self {
        let packet = vec![0; config.packet_size_max];
        let memory_max =
            config.send_buffer_bytes + config.receive_buffer_bytes as usize + MEMORY_SLACK;
        let association = Association::new(config, &mut Seeded(seed), Timestamp::ZERO);
        Self {
            association: association.expect("a configuration in range"),
            got: Vec::new(),
            is_reading: true,
            has_connected: false,
            sends_with: [0; 8],
            memory_max,
            closed: None,
            packet,
        }
    }

    pub(super) fn take(&mut self, now: Timestamp, datagram: &[u8]) {
        let _ = self.association.handle_input(now, datagram);
        self.assert_bounded();
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.association.poll_timeout().map(|deadline| deadline.at)
    }

    pub(super) fn wake(&mut self, now: Timestamp) {
        if self.due().is_some_and(|at| at <= now) {
            self.association.handle_timeout(now);
            self.assert_bounded();
        }
    }

    /// Whether it ended otherwise than by shutting down.
    pub(super) fn has_failed(&self) -> bool {
        self.closed
            .is_some_and(|reason| reason != CloseReason::Shutdown)
    }

    /// All outputs; what was received is put aside.
    pub(super) fn drain(&mut self, now: Timestamp) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        for round in 0.. {
            assert!(round < OUTPUTS_MAX, "it never comes to rest");
            match self.association.poll_output(&mut self.packet) {
                Some(Output::Transmit(transmit)) => {
                    let datagram = self.packet[..transmit.len].to_vec();
                    self.check_packet(&datagram);
                    sent.push(datagram);
                }
                Some(Output::Event(event)) => self.hear(&event),
                None if !self.is_reading => break,
                None => match self.association.receive() {
                    Some(incoming) => self.got.push(incoming),
                    None => break,
                },
            }
        }
        self.assert_bounded();
        let overdue = self.due().is_some_and(|at| at <= now);
        if overdue {
            self.association.handle_timeout(now);
        }
        sent
    }

    fn hear(&mut self, event: &Event) {
        assert!(self.closed.is_none(), "{event:?} after {:?}", self.closed);
        match event {
            Event::Connected => {
                assert!(!self.has_connected, "connected twice");
                self.has_connected = true;
            }
            Event::Closed(reason) => self.closed = Some(*reason),
            _ => {}
        }
    }

    /// Whatever it sends can be read to the end, and INIT is alone.
    fn check_packet(&mut self, datagram: &[u8]) {
        let packet = Packet::parse(datagram, ChecksumRule::MayBeZero).expect("our own packet");
        let mut count = 0;
        let mut has_init = false;
        for raw in packet.chunks() {
            let raw = raw.expect("our own chunk");
            let chunk = Chunk::parse(raw).expect("our own chunk");
            if let Chunk::Init(init) | Chunk::InitAck(init) = &chunk {
                has_init = true;
                assert!(init.parameters().all(|parameter| parameter.is_ok()));
            }
            let is_known = !matches!(chunk, Chunk::Unknown);
            assert!(is_known, "a chunk of type {}", raw.kind);
            let may_be_zero = !matches!(raw.kind, kind::INIT | kind::COOKIE_ECHO);
            assert!(may_be_zero || !packet.has_zero_checksum());
            count += 1;
        }
        assert!(count > 0, "an empty packet");
        assert!(!has_init || count == 1, "INIT in company");
        if packet.header().verification_tag != 0 {
            let [ports @ .., t0, t1, t2, t3] = *datagram.first_chunk::<8>().expect("a header");
            let [s0, s1, d0, d1] = ports;
            self.sends_with = [s0, s1, d0, d1, t0, t1, t2, t3];
        }
    }

    fn assert_bounded(&self) {
        let bytes = self.association.memory_bytes();
        assert!(bytes <= self.memory_max, "{bytes} of {}", self.memory_max);
    }
}

/// A message may stand over the edge of either buffer.
const MEMORY_SLACK: usize = 64 * 1024;

/// Far more than the largest window in the smallest packets.
const OUTPUTS_MAX: usize = 100_000;
