//! The tester: a peer without a mind of its own.

use std::collections::VecDeque;
use std::time::Duration;

use turnpike_sctp::wire::{
    Cause, Checksum, ChecksumRule, Chunk, Data, Header, InitFields, InitKind, Packet, PacketWriter,
    Parameter,
};
use turnpike_sctp::{
    Association, CloseReason, Config, Discard, Event, Incoming, Outgoing, Output, Ppid, StreamId,
    Tsn,
};
use turnpike_sim::SeededEntropy;
use turnpike_types::Timestamp;

/// The tag that the tester wants to see.
pub(crate) const TESTER_TAG: u32 = 0x0A0B_0C0D;

/// The tester's first TSN.
pub(crate) const TSN: Tsn = Tsn(1_000);

/// The tester's INIT or INIT ACK.
pub(crate) const INIT: InitFields = InitFields {
    initiate_tag: TESTER_TAG,
    a_rwnd: 100_000,
    outbound_streams: 10,
    inbound_streams: 10,
    initial_tsn: TSN,
};

/// What a client tester offers: no extensions.
pub(crate) const NOTHING: &[Parameter<'static>] = &[];

pub(crate) struct Tester {
    pub(crate) sut: Association,
    pub(crate) now: Timestamp,
    /// The tag that the implementation wants to see.
    pub(crate) tag: u32,
    /// The implementation's first TSN.
    pub(crate) sut_tsn: Tsn,
    pub(crate) events: Vec<Event>,
    pub(crate) received: Vec<Incoming>,
    pub(crate) last_discard: Option<Discard>,
    sent: VecDeque<Vec<u8>>,
}

pub(crate) fn config() -> Config {
    Config {
        streams_max: 10,
        heartbeat_interval: Duration::ZERO,
        ..Config::default()
    }
}

impl Tester {
    pub(crate) fn new(config: Config) -> Self {
        let now = Timestamp::from_secs(1);
        let mut entropy = SeededEntropy::new(7);
        Self {
            sut: Association::new(config, &mut entropy, now).unwrap(),
            now,
            tag: 0,
            sut_tsn: Tsn(0),
            events: Vec::new(),
            received: Vec::new(),
            last_discard: None,
            sent: VecDeque::new(),
        }
    }

    /// The tester has called and the association is established.
    pub(crate) fn called() -> Self {
        Self::called_with(config(), NOTHING)
    }

    pub(crate) fn called_with(config: Config, parameters: &[Parameter<'_>]) -> Self {
        let mut tester = Self::new(config);
        let cookie = tester.init(&INIT, parameters);
        tester.inject(|w| w.cookie_echo(&cookie));
        tester.expect_kinds(&[11]);
        assert_eq!(tester.take_events(), [Event::Connected]);
        tester
    }

    /// The implementation sends its INIT, which is taken note of.
    pub(crate) fn call(&mut self) {
        self.sut.connect(self.now);
        self.settle();
        let packet = self.sent.pop_front().unwrap();
        self.note_init(&packet);
    }

    /// Sends an INIT, takes note of the INIT ACK and returns its cookie.
    pub(crate) fn init(&mut self, fields: &InitFields, parameters: &[Parameter<'_>]) -> Vec<u8> {
        self.inject_with_tag(0, |w| w.init(InitKind::Init, fields, parameters));
        let packet = self.sent.pop_front().unwrap();
        self.note_init(&packet).unwrap()
    }

    fn note_init(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let packet = Packet::parse(packet, ChecksumRule::Required).unwrap();
        let raw = packet.chunks().next().unwrap().unwrap();
        let (Chunk::Init(init) | Chunk::InitAck(init)) = Chunk::parse(raw).unwrap() else {
            panic!("chunk {} is no INIT", raw.kind);
        };
        self.tag = init.fields.initiate_tag;
        self.sut_tsn = init.fields.initial_tsn;
        init.parameters().find_map(|parameter| match parameter {
            Ok(Parameter::StateCookie(cookie)) => Some(cookie.to_vec()),
            _ => None,
        })
    }

    /// The tester sends a packet.
    pub(crate) fn inject(&mut self, fill: impl FnOnce(&mut PacketWriter<'_>) -> bool) {
        self.inject_with_tag(self.tag, fill);
    }

    pub(crate) fn inject_with_tag(
        &mut self,
        tag: u32,
        fill: impl FnOnce(&mut PacketWriter<'_>) -> bool,
    ) {
        let bytes = packet(tag, fill);
        self.inject_bytes(&bytes);
    }

    pub(crate) fn inject_bytes(&mut self, bytes: &[u8]) {
        self.last_discard = self.sut.handle_input(self.now, bytes).err();
        self.settle();
    }

    /// Chunks as bytes, behind a right header.
    pub(crate) fn inject_chunks(&mut self, chunks: &[u8]) {
        let bytes = sealed(self.tag, chunks);
        self.inject_bytes(&bytes);
    }

    /// A whole message in one DATA chunk, `number` after the tester's first TSN.
    pub(crate) fn send_data(&mut self, number: u32) {
        self.inject(|w| w.data(&data(number)));
    }

    pub(crate) fn send(&mut self, len: usize) {
        let payload = vec![b'x'; len].into();
        let message = Outgoing::new(StreamId(0), Ppid(53), payload);
        self.sut.send(self.now, message).unwrap();
        self.settle();
    }

    /// A SACK of `count` chunks and a window.
    pub(crate) fn sack(&mut self, count: u32, a_rwnd: u32) {
        let tsn = self.sut_tsn.plus(count).previous();
        self.inject(|w| w.sack(tsn, a_rwnd, [].into_iter(), &[]));
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.sut.poll_timeout().filter(|it| it.at <= until) {
            self.now = self.now.max(deadline.at);
            self.sut.handle_timeout(self.now);
            self.settle();
        }
        self.now = until;
    }

    /// Takes what the implementation has to send and to say.
    pub(crate) fn settle(&mut self) {
        let mut buf = vec![0; 2_000];
        loop {
            while let Some(output) = self.sut.poll_output(&mut buf) {
                match output {
                    Output::Event(event) => self.events.push(event),
                    Output::Transmit(transmit) => self.sent.push_back(buf[..transmit.len].to_vec()),
                }
            }
            match self.sut.receive() {
                Some(incoming) => self.received.push(incoming),
                None => break,
            }
        }
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.events.iter().find_map(|event| match event {
            Event::Closed(reason) => Some(*reason),
            _ => None,
        })
    }

    /// The next packet's chunk types.
    pub(crate) fn next_kinds(&mut self) -> Option<Vec<u8>> {
        self.sent.pop_front().map(|packet| kinds(&packet))
    }

    /// The next packet has these chunks.
    pub(crate) fn expect_kinds(&mut self, expected: &[u8]) {
        assert_eq!(
            self.next_kinds().as_deref(),
            Some(expected),
            "{:?}",
            self.events
        );
    }

    /// Packets up to one with a chunk of this type; its chunk types.
    pub(crate) fn expect(&mut self, kind: u8) -> Vec<u8> {
        while let Some(found) = self.next_kinds() {
            if found.contains(&kind) {
                return found;
            }
        }
        panic!("no chunk of type {kind} was sent; {:?}", self.events)
    }

    pub(crate) fn expect_silence(&mut self) {
        let sent: Vec<_> = self.sent.iter().map(|packet| kinds(packet)).collect();
        assert!(sent.is_empty(), "{sent:?} was sent");
    }

    /// Everything sent so far is of no interest.
    pub(crate) fn forget(&mut self) {
        self.sent.clear();
    }

    /// The next packet, if there is one.
    pub(crate) fn take_packet(&mut self) -> Option<Vec<u8>> {
        self.sent.pop_front()
    }

    /// The next packet, for a closer look.
    pub(crate) fn next_packet(&mut self) -> Vec<u8> {
        self.sent.pop_front().unwrap()
    }
}

/// Chunk types of a packet.
pub(crate) fn kinds(packet: &[u8]) -> Vec<u8> {
    let packet = Packet::parse(packet, ChecksumRule::Required).unwrap();
    packet.chunks().map(|raw| raw.unwrap().kind).collect()
}

/// The header of a packet.
pub(crate) fn header(packet: &[u8]) -> Header {
    Packet::parse(packet, ChecksumRule::Required)
        .unwrap()
        .header()
}

/// Looks at the first chunk of a type in a packet.
pub(crate) fn look<T>(packet: &[u8], kind: u8, look: impl FnOnce(Chunk<'_>) -> T) -> T {
    let packet = Packet::parse(packet, ChecksumRule::Required).unwrap();
    let raw = packet
        .chunks()
        .map(Result::unwrap)
        .find(|raw| raw.kind == kind);
    look(Chunk::parse(raw.unwrap()).unwrap())
}

/// The error causes of the first ABORT or ERROR of a packet.
pub(crate) fn cause_codes(packet: &[u8]) -> Vec<u16> {
    let kind = *kinds(packet)
        .iter()
        .find(|kind| matches!(kind, 6 | 9))
        .unwrap();
    look(packet, kind, |chunk| {
        let (Chunk::Abort { causes, .. } | Chunk::Error(causes)) = chunk else {
            panic!()
        };
        causes.map(|cause: Cause<'_>| cause.code()).collect()
    })
}

/// Whether the first ABORT of a packet has the T bit.
pub(crate) fn is_reflected(packet: &[u8]) -> bool {
    look(packet, 6, |chunk| {
        matches!(
            chunk,
            Chunk::Abort {
                is_tag_reflected: true,
                ..
            }
        )
    })
}

/// A whole message in a DATA chunk, `number` after the tester's first TSN; its SSN follows.
pub(crate) fn data(number: u32) -> Data<'static> {
    Data {
        tsn: TSN.plus(number),
        stream: StreamId(0),
        message: number,
        ppid: Ppid(53),
        is_begin: true,
        is_end: true,
        payload: b"data",
        ..Data::default()
    }
}

/// A packet of the tester.
pub(crate) fn packet(tag: u32, fill: impl FnOnce(&mut PacketWriter<'_>) -> bool) -> Vec<u8> {
    let header = Header {
        source_port: 5000,
        destination_port: 5000,
        verification_tag: tag,
    };
    let mut buf = vec![0; 2_000];
    let mut writer = PacketWriter::new(&mut buf, 2_000, header).unwrap();
    assert!(fill(&mut writer));
    let len = writer.finish(Checksum::Crc32c);
    buf.truncate(len);
    buf
}

/// Chunks as bytes behind a header with a right checksum.
pub(crate) fn sealed(tag: u32, chunks: &[u8]) -> Vec<u8> {
    let mut bytes = packet(tag, |_| true);
    bytes.extend(chunks);
    bytes[8..12].fill(0);
    let crc = crc32c::crc32c(&bytes);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}
