//! `sctp-proto` as an end of a conversation.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint as TheirEndpoint,
    EndpointConfig, EndpointEvent, Event as TheirEvent, Payload, PayloadProtocolIdentifier,
    ReliabilityType, ServerConfig, StreamEvent, TransportConfig,
};
use turnpike_sctp::wire::{ChecksumRule, Packet, kind};
use turnpike_sctp::{
    CloseReason, Config, Event, Incoming, Outgoing, Ppid, Reliability, ResetError, SendError,
    StreamId,
};
use turnpike_sim::SeededEntropy;
use turnpike_types::Timestamp;

use crate::orders::Orders;
use crate::pair::endpoint::{Abilities, Endpoint, Output, Sort};

/// It closes streams in both directions at once, cannot abort, and knows neither restarts nor
/// collisions.
pub(crate) const SCTP_PROTO: Sort = Sort {
    name: "sctp-proto",
    make,
    abilities: Abilities {
        association_reset: false,
        partial_reliability: true,
        stream_reset: false,
        restart: false,
        tracking: false,
        small_buffers: false,
        replays: false,
    },
};

fn make(config: &Config, _: &mut SeededEntropy, now: Timestamp) -> Box<dyn Endpoint> {
    let message_size_max = u32::try_from(config.message_size_max).unwrap();
    let rto = |duration: core::time::Duration| u64::try_from(duration.as_millis()).unwrap();
    let transport = TransportConfig::default()
        .with_max_receive_buffer_size(config.receive_buffer_bytes)
        .with_max_send_message_size(message_size_max)
        .with_max_receive_message_size(message_size_max)
        .with_max_num_inbound_streams(config.streams_max)
        .with_max_num_outbound_streams(config.streams_max)
        .with_max_init_retransmits(None)
        .with_rto_initial_ms(rto(config.rto.initial))
        .with_rto_min_ms(rto(config.rto.min))
        .with_rto_max_ms(rto(config.rto.max))
        .with_local_port(config.local_port)
        .with_remote_port(config.remote_port);
    let transport = Arc::new(transport);
    let mut server = ServerConfig::new();
    server.transport = Arc::clone(&transport);
    let mut endpoint = EndpointConfig::new();
    // Without the common header and that of a DATA chunk.
    endpoint.max_payload_size(u32::try_from(config.packet_size_max).unwrap() - 12 - 16);
    Box::new(SctpProto {
        endpoint: TheirEndpoint::new(Arc::new(endpoint), Some(Arc::new(server))),
        association: None,
        transport,
        epoch: Instant::now(),
        born: now,
        outbox: VecDeque::new(),
        endpoint_events: Vec::new(),
        send_buffer_bytes: config.send_buffer_bytes,
        orders: Orders::default(),
        was_aborted: false,
        is_connected: false,
        is_closed: false,
    })
}

struct SctpProto {
    endpoint: TheirEndpoint,
    association: Option<(AssociationHandle, Association)>,
    transport: Arc<TransportConfig>,
    /// Their clock at `born`.
    epoch: Instant,
    born: Timestamp,
    outbox: VecDeque<Output>,
    /// Held back until it is closed: it says that it is drained when it begins to shut down.
    endpoint_events: Vec<(AssociationHandle, EndpointEvent)>,
    send_buffer_bytes: usize,
    orders: Orders,
    was_aborted: bool,
    /// It counts as closed also before it has begun.
    is_connected: bool,
    is_closed: bool,
}

impl SctpProto {
    fn instant(&self, now: Timestamp) -> Instant {
        self.epoch + now.since(self.born)
    }

    /// Moves events and packets to the outbox.
    fn drain(&mut self, now: Timestamp) {
        let instant = self.instant(now);
        while let Some(transmit) = self.endpoint.poll_transmit() {
            put(&mut self.outbox, transmit.payload);
        }
        let Some((handle, association)) = self.association.as_mut() else {
            return;
        };
        while let Some(transmit) = association.poll_transmit(instant) {
            put(&mut self.outbox, transmit.payload);
        }
        while let Some(event) = association.poll_endpoint_event() {
            self.endpoint_events.push((*handle, event));
        }
        while let Some(event) = association.poll() {
            let event = match event {
                TheirEvent::Connected => {
                    self.is_connected = true;
                    Event::Connected
                }
                TheirEvent::Stream(StreamEvent::Finished { id }) => {
                    Event::IncomingStreamsReset(vec![StreamId(id)])
                }
                TheirEvent::Stream(StreamEvent::ResetComplete { id }) => {
                    Event::OutgoingStreamsReset(vec![StreamId(id)])
                }
                TheirEvent::Stream(StreamEvent::ResetFailed { id, .. }) => {
                    Event::ResetRefused(vec![StreamId(id)])
                }
                _ => continue,
            };
            self.outbox.push_back(Output::Event(event));
        }
        // It sends SHUTDOWN COMPLETE and forgets that it is closed.
        let has_ended = self.outbox.iter().any(|output| match output {
            Output::Datagram(datagram) => has_chunk(datagram, kind::SHUTDOWN_COMPLETE),
            Output::Event(_) => false,
        });
        let is_closed = has_ended || association.is_closed() && self.is_connected;
        if is_closed && !self.is_closed {
            self.is_closed = true;
            let reason = if self.was_aborted {
                CloseReason::AbortedByPeer(0)
            } else {
                CloseReason::Shutdown
            };
            self.outbox.push_back(Output::Event(Event::Closed(reason)));
            for (handle, event) in self.endpoint_events.drain(..) {
                let answer = self.endpoint.handle_event(handle, event);
                assert!(answer.is_none());
            }
        }
    }
}

fn put(outbox: &mut VecDeque<Output>, payload: Payload) {
    let Payload::RawEncode(packets) = payload else {
        panic!("it sends what it received");
    };
    outbox.extend(
        packets
            .iter()
            .map(|packet| Output::Datagram(packet.to_vec())),
    );
}

fn has_chunk(datagram: &[u8], kind: u8) -> bool {
    let packet = Packet::parse(datagram, ChecksumRule::Required);
    packet.is_ok_and(|packet| packet.chunks().flatten().any(|raw| raw.kind == kind))
}

impl Endpoint for SctpProto {
    fn connect(&mut self, _: Timestamp) {
        let mut config = ClientConfig::new();
        config.transport = Arc::clone(&self.transport);
        self.association = Some(self.endpoint.connect(config, remote()).unwrap());
    }

    fn handle_input(&mut self, now: Timestamp, datagram: &[u8]) {
        if self.is_closed {
            return;
        }
        self.orders.note(datagram);
        self.was_aborted |= has_chunk(datagram, kind::ABORT);
        let instant = self.instant(now);
        let bytes = Bytes::copy_from_slice(datagram);
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

    fn handle_timeout(&mut self, now: Timestamp) {
        let instant = self.instant(now);
        if let Some((_, association)) = self.association.as_mut() {
            association.handle_timeout(instant);
        }
    }

    fn poll_output(&mut self, now: Timestamp) -> Option<Output> {
        if self.outbox.is_empty() {
            self.drain(now);
        }
        self.outbox.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let (_, association) = self.association.as_ref()?;
        let at = association.poll_timeout().filter(|_| !self.is_closed)?;
        Some(self.born + at.saturating_duration_since(self.epoch))
    }

    fn send(&mut self, _: Timestamp, message: Outgoing) -> Result<(), SendError> {
        let Some((_, association)) = self.association.as_mut() else {
            return Err(SendError::NotConnected);
        };
        let (id, ppid) = (
            message.stream.0,
            PayloadProtocolIdentifier::from(message.ppid.0),
        );
        if association.stream(id).is_err() && association.open_stream(id, ppid).is_err() {
            return Err(SendError::StreamResetting);
        }
        let mut stream = association.stream(id).unwrap();
        if stream.buffered_amount().unwrap_or(0) + message.payload.len() > self.send_buffer_bytes {
            return Err(SendError::BufferFull);
        }
        let (kind, value) = match message.reliability {
            Reliability::Lifetime(lifetime) => (
                ReliabilityType::Timed,
                u32::try_from(lifetime.as_millis()).unwrap(),
            ),
            Reliability::Retransmissions(most) => (ReliabilityType::Rexmit, most.into()),
            Reliability::Reliable | Reliability::Priority(_) => (ReliabilityType::Reliable, 0),
        };
        stream
            .set_reliability_params(message.is_unordered, kind, value)
            .unwrap();
        match stream.write_sctp(&message.payload, ppid) {
            Ok(_) => Ok(()),
            Err(_) => Err(SendError::ShuttingDown),
        }
    }

    fn receive(&mut self, _: Timestamp) -> Option<Incoming> {
        let (_, association) = self.association.as_mut()?;
        let mut ids = association.stream_ids();
        ids.sort_unstable();
        for id in ids {
            let Ok(Some(chunks)) = association.stream(id).unwrap().read_sctp() else {
                continue;
            };
            let mut payload = vec![0; chunks.len()];
            assert_eq!(chunks.read(&mut payload).unwrap(), payload.len());
            let stream = StreamId(id);
            return Some(Incoming {
                stream,
                ppid: Ppid(chunks.ppi as u32),
                is_unordered: self.orders.is_unordered(stream, &payload),
                payload: payload.into(),
                is_begin: true,
                is_end: true,
            });
        }
        None
    }

    fn reset_streams(&mut self, _: Timestamp, streams: &[StreamId]) -> Result<(), ResetError> {
        let Some((_, association)) = self.association.as_mut() else {
            return Err(ResetError::NotConnected);
        };
        for stream in streams {
            let mut stream = association
                .stream(stream.0)
                .map_err(|_| ResetError::NoSuchStream)?;
            stream.close().map_err(|_| ResetError::Busy)?;
        }
        Ok(())
    }

    fn shutdown(&mut self, _: Timestamp) {
        if let Some((_, association)) = self.association.as_mut() {
            association.shutdown().unwrap();
        }
    }

    fn abort(&mut self, _: Timestamp) {
        panic!("it cannot abort");
    }

    fn buffered_amount(&self, _: StreamId) -> usize {
        0
    }

    fn memory_bytes(&self) -> Option<usize> {
        None
    }
}

/// It wants an address; all of its packets come from here.
fn remote() -> SocketAddr {
    ([192, 0, 2, 1], 9_899).into()
}
