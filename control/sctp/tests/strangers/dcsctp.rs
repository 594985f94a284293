//! `dcsctp` as an end of a conversation.

use std::time::Duration;

use dcsctp::api::{
    DcSctpSocket, ErrorKind, LifecycleId, Message, Options, PpId, ResetStreamsError,
    SendError as TheirSendError, SendOptions, Socket, SocketEvent, SocketTime,
    StreamId as TheirStreamId, ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS,
    ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_NONE,
};
use turnpike_sctp::{
    CloseReason, Config, Event, Incoming, MessageId, Outgoing, Ppid, Reliability, ResetError,
    SendError, StreamId,
};
use turnpike_sim::SeededEntropy;
use turnpike_types::Timestamp;

use crate::orders::Orders;
use crate::pair::endpoint::{Abilities, Endpoint, Output, Sort};

/// It drops what is queued on a stream that it resets, where ours sends it first: worlds do not ask
/// it to. Messages are whole or not at all, and their lives are told in fewer words.
pub(crate) const DCSCTP: Sort = Sort {
    name: "dcsctp",
    make,
    abilities: Abilities {
        association_reset: false,
        stream_reset: false,
        tracking: false,
        small_buffers: false,
        ..Abilities::ALL
    },
};

fn make(config: &Config, _: &mut SeededEntropy, now: Timestamp) -> Box<dyn Endpoint> {
    Box::new(Dcsctp {
        socket: Socket::new("stranger", &options(config)),
        born: now,
        is_aborting: false,
        orders: Orders::default(),
    })
}

fn options(config: &Config) -> Options {
    Options {
        local_port: config.local_port,
        remote_port: config.remote_port,
        announced_maximum_incoming_streams: config.streams_max,
        announced_maximum_outgoing_streams: config.streams_max,
        mtu: config.packet_size_max,
        max_message_size: config.message_size_max,
        max_receiver_window_buffer_size: config.receive_buffer_bytes as usize,
        max_send_buffer_size: config.send_buffer_bytes,
        per_stream_send_queue_limit: config.send_buffer_bytes,
        heartbeat_interval: config.heartbeat_interval,
        max_timer_backoff_duration: Some(config.rto.max),
        rto_max: config.rto.max,
        max_retransmissions: Some(config.association_retransmissions_max),
        max_init_retransmits: Some(config.init_retransmissions_max),
        enable_partial_reliability: config.has_partial_reliability,
        enable_message_interleaving: config.has_interleaving,
        zero_checksum_alternate_error_detection_method: if config.has_zero_checksum {
            ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS
        } else {
            ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_NONE
        },
        ..Options::default()
    }
}

struct Dcsctp {
    socket: Socket,
    born: Timestamp,
    is_aborting: bool,
    orders: Orders,
}

impl Dcsctp {
    fn advance(&mut self, now: Timestamp) {
        let time = SocketTime::zero() + now.since(self.born);
        self.socket.advance_time(time);
    }

    /// In our words; `None` for what has none.
    fn translate(&self, event: SocketEvent) -> Option<Output> {
        let event = match event {
            SocketEvent::SendPacket(packet) => return Some(Output::Datagram(packet)),
            SocketEvent::OnConnected() => Event::Connected,
            SocketEvent::OnConnectionRestarted() => Event::Restarted,
            SocketEvent::OnClosed() if self.is_aborting => Event::Closed(CloseReason::Aborted),
            SocketEvent::OnClosed() => Event::Closed(CloseReason::Shutdown),
            SocketEvent::OnAborted(kind, _) => Event::Closed(match kind {
                ErrorKind::PeerReported => CloseReason::AbortedByPeer(0),
                ErrorKind::TooManyRetries => CloseReason::PeerUnreachable,
                _ => CloseReason::ProtocolViolation,
            }),
            SocketEvent::OnStreamsResetPerformed(streams) => {
                Event::OutgoingStreamsReset(ours(&streams))
            }
            SocketEvent::OnStreamsResetFailed(streams) => Event::ResetRefused(ours(&streams)),
            SocketEvent::OnIncomingStreamReset(streams) => {
                Event::IncomingStreamsReset(ours(&streams))
            }
            SocketEvent::OnLifecycleMessageFullySent(id) => Event::MessageSent(our_id(id)),
            SocketEvent::OnLifecycleMessageDelivered(id) => Event::MessageAcknowledged(our_id(id)),
            SocketEvent::OnLifecycleMessageMaybeExpired(id) => Event::MessageExpired {
                id: our_id(id),
                was_sent: true,
            },
            SocketEvent::OnLifecycleMessageExpired(id) => Event::MessageExpired {
                id: our_id(id),
                was_sent: false,
            },
            _ => return None,
        };
        Some(Output::Event(event))
    }
}

fn ours(streams: &[TheirStreamId]) -> Vec<StreamId> {
    streams.iter().map(|stream| StreamId(stream.0)).collect()
}

/// Theirs may not be zero.
fn our_id(id: LifecycleId) -> MessageId {
    MessageId(id.value() - 1)
}

impl Endpoint for Dcsctp {
    fn connect(&mut self, now: Timestamp) {
        self.advance(now);
        self.socket.connect();
    }

    fn handle_input(&mut self, now: Timestamp, datagram: &[u8]) {
        self.orders.note(datagram);
        self.advance(now);
        self.socket.handle_input(datagram);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
    }

    fn poll_output(&mut self, _: Timestamp) -> Option<Output> {
        loop {
            let event = self.socket.poll_event()?;
            if let Some(output) = self.translate(event) {
                return Some(output);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let time = self.socket.poll_timeout();
        let is_set = time != SocketTime::infinite_future();
        is_set.then(|| self.born + (time - SocketTime::zero()))
    }

    fn send(&mut self, now: Timestamp, message: Outgoing) -> Result<(), SendError> {
        self.advance(now);
        let (lifetime, max_retransmissions): (Option<Duration>, Option<u16>) =
            match message.reliability {
                Reliability::Lifetime(lifetime) => (Some(lifetime), None),
                Reliability::Retransmissions(most) => (None, Some(most)),
                Reliability::Reliable | Reliability::Priority(_) => (None, None),
            };
        let options = SendOptions {
            unordered: message.is_unordered,
            lifetime,
            max_retransmissions,
            lifecycle_id: message.id.and_then(|id| LifecycleId::new(id.0 + 1)),
        };
        let (stream, ppid) = (TheirStreamId(message.stream.0), PpId(message.ppid.0));
        let message = Message::new(stream, ppid, message.payload.to_vec());
        self.socket
            .send(message, &options)
            .map_err(|error| match error {
                TheirSendError::EmptyPayload => SendError::EmptyMessage,
                TheirSendError::MessageTooLarge { .. } => SendError::MessageTooLarge,
                TheirSendError::ResourceExhaustion => SendError::BufferFull,
                TheirSendError::ShuttingDown => SendError::ShuttingDown,
            })
    }

    fn receive(&mut self, now: Timestamp) -> Option<Incoming> {
        self.advance(now);
        let message = self.socket.get_next_message()?;
        let stream = StreamId(message.stream_id.0);
        Some(Incoming {
            stream,
            ppid: Ppid(message.ppid.0),
            is_unordered: self.orders.is_unordered(stream, &message.payload),
            payload: message.payload.into(),
            is_begin: true,
            is_end: true,
        })
    }

    fn reset_streams(&mut self, now: Timestamp, streams: &[StreamId]) -> Result<(), ResetError> {
        self.advance(now);
        let streams: Vec<_> = streams
            .iter()
            .map(|stream| TheirStreamId(stream.0))
            .collect();
        self.socket
            .reset_streams(&streams)
            .map_err(|error| match error {
                ResetStreamsError::NotConnected => ResetError::NotConnected,
                ResetStreamsError::NotSupported => ResetError::Unsupported,
            })
    }

    fn shutdown(&mut self, now: Timestamp) {
        self.advance(now);
        self.socket.shutdown();
    }

    fn abort(&mut self, now: Timestamp) {
        self.advance(now);
        self.is_aborting = true;
        self.socket.close();
    }

    fn buffered_amount(&self, stream: StreamId) -> usize {
        self.socket.buffered_amount(TheirStreamId(stream.0))
    }

    fn memory_bytes(&self) -> Option<usize> {
        None
    }
}
