//! The engines: ours, `dcsctp` (Chrome's in Rust) and `sctp-proto` (str0m's), each driven as its
//! documentation says and as lean as it allows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use ::dcsctp::api::{
    DcSctpSocket, Message, Options, PpId, SendOptions, Socket, SocketEvent, SocketTime,
    StreamId as TheirStreamId, ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS,
    ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_NONE,
};
use ::sctp_proto::{
    Association as TheirAssociation, AssociationHandle, ClientConfig, DatagramEvent, Endpoint,
    EndpointConfig, Event as TheirEvent, Payload, PayloadProtocolIdentifier, ServerConfig,
    TransportConfig,
};
use bytes::Bytes;
use turnpike_sctp::{Association, Config, Outgoing, Output, Ppid, State, StreamId};
use turnpike_sim::SeededEntropy;
use turnpike_types::Timestamp;

use crate::pipe::{Core, PACKET_SIZE_MAX, Setting, Wire};

/// Our association.
pub(crate) struct Ours(Association);

impl Core for Ours {
    fn new(setting: Setting) -> Self {
        let config = Config {
            packet_size_max: PACKET_SIZE_MAX,
            receive_buffer_bytes: setting.window_bytes,
            send_buffer_bytes: 2 * setting.window_bytes as usize,
            has_zero_checksum: setting.has_zero_checksum,
            ..Config::default()
        };
        let mut entropy = SeededEntropy::new(setting.seed);
        Self(Association::new(config, &mut entropy, Timestamp::from_secs(1)).unwrap())
    }

    fn connect(&mut self, now: Timestamp) {
        self.0.connect(now);
    }

    fn is_connected(&mut self) -> bool {
        self.0.state() == State::Established
    }

    fn input(&mut self, now: Timestamp, packet: &[u8]) {
        self.0.handle_input(now, packet).unwrap();
    }

    fn output(&mut self, _: Timestamp, wire: &mut Wire) {
        while wire.write(|buf| {
            Some(match self.0.poll_output(buf)? {
                Output::Transmit(transmit) => transmit.len,
                Output::Event(_) => 0,
            })
        }) {}
    }

    fn queue(&mut self, now: Timestamp, payload: &Bytes, most: usize) {
        for _ in 0..most {
            let message = Outgoing::new(StreamId(1), Ppid(53), payload.clone());
            if self.0.send(now, message).is_err() {
                return;
            }
        }
    }

    fn receive(&mut self, _: Timestamp) -> usize {
        let mut bytes = 0;
        while let Some(incoming) = self.0.receive() {
            bytes += incoming.payload.len();
        }
        bytes
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        if self.0.poll_timeout().is_some_and(|due| due.at <= now) {
            self.0.handle_timeout(now);
        }
    }
}

/// `dcsctp`.
pub(crate) struct Dcsctp {
    socket: Socket,
    is_connected: bool,
    send_buffer_bytes: usize,
}

impl Dcsctp {
    fn advance(&mut self, now: Timestamp) {
        let time = SocketTime::zero() + now.since(Timestamp::ZERO);
        self.socket.advance_time(time);
    }
}

impl Core for Dcsctp {
    fn new(setting: Setting) -> Self {
        let window_bytes = setting.window_bytes as usize;
        let options = Options {
            mtu: PACKET_SIZE_MAX,
            max_receiver_window_buffer_size: window_bytes,
            max_send_buffer_size: 2 * window_bytes,
            per_stream_send_queue_limit: 2 * window_bytes,
            zero_checksum_alternate_error_detection_method: if setting.has_zero_checksum {
                ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS
            } else {
                ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_NONE
            },
            ..Options::default()
        };
        Self {
            socket: Socket::new("peer", &options),
            is_connected: false,
            send_buffer_bytes: 2 * window_bytes,
        }
    }

    fn connect(&mut self, now: Timestamp) {
        self.advance(now);
        self.socket.connect();
    }

    fn is_connected(&mut self) -> bool {
        self.is_connected
    }

    fn input(&mut self, now: Timestamp, packet: &[u8]) {
        self.advance(now);
        self.socket.handle_input(packet);
    }

    fn output(&mut self, _: Timestamp, wire: &mut Wire) {
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => wire.push(&packet),
                SocketEvent::OnConnected() => self.is_connected = true,
                _ => {}
            }
        }
    }

    fn queue(&mut self, now: Timestamp, payload: &Bytes, most: usize) {
        self.advance(now);
        let stream = TheirStreamId(1);
        for _ in 0..most {
            if self.socket.buffered_amount(stream) + payload.len() > self.send_buffer_bytes {
                return;
            }
            let message = Message::new(stream, PpId(53), payload.to_vec());
            if self.socket.send(message, &SendOptions::default()).is_err() {
                return;
            }
        }
    }

    fn receive(&mut self, _: Timestamp) -> usize {
        let mut bytes = 0;
        while let Some(message) = self.socket.get_next_message() {
            bytes += message.payload.len();
        }
        bytes
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
    }
}

/// `sctp-proto`, which knows no zero checksum.
pub(crate) struct SctpProto {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, TheirAssociation)>,
    transport: Arc<TransportConfig>,
    /// Their clock at `Timestamp::ZERO`.
    epoch: Instant,
    is_connected: bool,
    send_buffer_bytes: usize,
}

impl SctpProto {
    fn instant(&self, now: Timestamp) -> Instant {
        self.epoch + now.since(Timestamp::ZERO)
    }
}

impl Core for SctpProto {
    fn new(setting: Setting) -> Self {
        let transport = TransportConfig::default()
            .with_max_receive_buffer_size(setting.window_bytes)
            .with_max_send_message_size(1 << 20)
            .with_max_receive_message_size(1 << 20);
        let transport = Arc::new(transport);
        let mut server = ServerConfig::new();
        server.transport = Arc::clone(&transport);
        let mut endpoint = EndpointConfig::new();
        // Without the common header and that of a DATA chunk.
        endpoint.max_payload_size(u32::try_from(PACKET_SIZE_MAX).unwrap() - 12 - 16);
        Self {
            endpoint: Endpoint::new(Arc::new(endpoint), Some(Arc::new(server))),
            association: None,
            transport,
            epoch: Instant::now(),
            is_connected: false,
            send_buffer_bytes: 2 * setting.window_bytes as usize,
        }
    }

    fn connect(&mut self, _: Timestamp) {
        let mut config = ClientConfig::new();
        config.transport = Arc::clone(&self.transport);
        self.association = Some(self.endpoint.connect(config, remote()).unwrap());
    }

    fn is_connected(&mut self) -> bool {
        self.is_connected
    }

    fn input(&mut self, now: Timestamp, packet: &[u8]) {
        let (instant, bytes) = (self.instant(now), Bytes::copy_from_slice(packet));
        match self.endpoint.handle(instant, remote(), None, None, bytes) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.association = Some((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = self.association.as_mut() {
                    association.handle_event(event);
                }
            }
            None => {}
        }
    }

    fn output(&mut self, now: Timestamp, wire: &mut Wire) {
        let instant = self.instant(now);
        while let Some(transmit) = self.endpoint.poll_transmit() {
            put(wire, transmit.payload);
        }
        let Some((handle, association)) = self.association.as_mut() else {
            return;
        };
        while let Some(event) = association.poll() {
            self.is_connected |= matches!(event, TheirEvent::Connected);
        }
        while let Some(transmit) = association.poll_transmit(instant) {
            put(wire, transmit.payload);
        }
        while let Some(event) = association.poll_endpoint_event() {
            self.endpoint.handle_event(*handle, event);
        }
    }

    fn queue(&mut self, _: Timestamp, payload: &Bytes, most: usize) {
        let Some((_, association)) = self.association.as_mut() else {
            return;
        };
        let ppid = PayloadProtocolIdentifier::Binary;
        if association.stream(1).is_err() {
            association.open_stream(1, ppid).unwrap();
        }
        let mut stream = association.stream(1).unwrap();
        for _ in 0..most {
            if stream.buffered_amount().unwrap() + payload.len() > self.send_buffer_bytes {
                return;
            }
            if stream.write_sctp(payload, ppid).is_err() {
                return;
            }
        }
    }

    fn receive(&mut self, _: Timestamp) -> usize {
        let Some((_, association)) = self.association.as_mut() else {
            return 0;
        };
        let mut bytes = 0;
        for id in association.stream_ids() {
            while let Ok(Some(chunks)) = association.stream(id).unwrap().read_sctp() {
                let mut payload = vec![0; chunks.len()];
                bytes += chunks.read(&mut payload).unwrap();
            }
        }
        bytes
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        let instant = self.instant(now);
        if let Some((_, association)) = self.association.as_mut()
            && association.poll_timeout().is_some_and(|at| at <= instant)
        {
            association.handle_timeout(instant);
        }
    }
}

fn put(wire: &mut Wire, payload: Payload) {
    let Payload::RawEncode(packets) = payload else {
        panic!("it sends what it received");
    };
    for packet in packets {
        wire.push(&packet);
    }
}

/// It wants an address; all of its packets come from here.
fn remote() -> SocketAddr {
    ([192, 0, 2, 1], 9_899).into()
}
