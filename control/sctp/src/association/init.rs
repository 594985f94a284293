//! INIT: reading the peer's, sending ours, answering without keeping anything (RFC 9260 sections
//! 5.1.2, 5.1.3, 5.2.1 and 5.2.2).

use alloc::vec::Vec;

use super::negotiated::Features;
use super::{Association, State};
use crate::Discard;
use crate::cookie::StateCookie;
use crate::wire::{Cause, Init, InitFields, InitKind, PacketWriter, Parameter, UnknownAction};

/// What an INIT or INIT ACK says beside its fixed fields.
#[derive(Debug)]
pub(super) struct PeerInit<'a> {
    pub(super) features: Features,
    pub(super) cookie: Option<&'a [u8]>,
    /// Parameters to report as unknown, whole; the first few.
    pub(super) unrecognized: Vec<&'a [u8]>,
}

impl<'a> PeerInit<'a> {
    /// Reads the parameters; the cause for an ABORT where they, or the fields, cannot be.
    pub(super) fn read(init: &Init<'a>) -> Result<Self, Cause<'a>> {
        let fields = init.fields;
        if fields.initiate_tag == 0 || fields.outbound_streams == 0 || fields.inbound_streams == 0 {
            return Err(Cause::InvalidMandatoryParameter);
        }
        let mut peer = Self {
            features: Features::default(),
            cookie: None,
            unrecognized: Vec::new(),
        };
        for parameter in init.parameters() {
            let Ok(parameter) = parameter else {
                return Err(Cause::ProtocolViolation(b"malformed parameter"));
            };
            peer.features.note(&parameter);
            match parameter {
                Parameter::StateCookie(cookie) => peer.cookie = Some(cookie),
                Parameter::HostNameAddress(bytes) => return Err(Cause::UnresolvableAddress(bytes)),
                Parameter::Unknown { kind, bytes } => {
                    let action = UnknownAction::of_parameter(kind);
                    let is_short = bytes.len() <= UNRECOGNIZED_BYTES_MAX;
                    if action.is_reported && is_short && peer.unrecognized.len() < UNRECOGNIZED_MAX
                    {
                        peer.unrecognized.push(bytes);
                    }
                    if action.stops {
                        break;
                    }
                }
                _ => {}
            }
        }
        Ok(peer)
    }
}

impl Association {
    /// Writes our INIT.
    pub(super) fn write_init(&self, writer: &mut PacketWriter<'_>) {
        let kinds = Features::of_config(&self.config).chunk_kinds();
        let fields = self.init_fields(self.local_tag, self.local_initial_tsn);
        let parameters = self.own_parameters(&kinds);
        writer.init(InitKind::Init, &fields, &parameters);
    }

    /// Answers an INIT, and keeps nothing of it but in the cookie.
    pub(super) fn answer_init(&mut self, init: &Init<'_>) -> Result<(), Discard> {
        let fields = init.fields;
        if fields.initiate_tag == 0 {
            return Err(Discard::Malformed);
        }
        if self.state == State::ShutdownAckSent {
            self.control.shutdown_ack = true;
            return Ok(());
        }
        if self.is_over {
            self.reply(fields.initiate_tag, |writer| {
                writer.abort(false, &[]);
            });
            return Ok(());
        }
        let peer = match PeerInit::read(init) {
            Ok(peer) => peer,
            Err(cause) => {
                self.reply(fields.initiate_tag, |writer| {
                    writer.abort(false, &[cause]);
                });
                return Ok(());
            }
        };
        let cookie = self.cookie_for(&fields, peer.features);
        self.reply_init_ack(&fields, &cookie, &peer.unrecognized);
        Ok(())
    }

    /// What we need to know again when the cookie comes back.
    fn cookie_for(&mut self, peer: &InitFields, features: Features) -> StateCookie {
        // In a handshake of our own both sides keep the tags they have shown (section 5.2.1).
        let is_collision = matches!(self.state, State::CookieWait | State::CookieEchoed);
        let (local_tag, local_initial_tsn) = if is_collision {
            (self.local_tag, self.local_initial_tsn)
        } else {
            self.draw_identity()
        };
        let (local_tie_tag, peer_tie_tag) = if self.has_peer() {
            (self.local_tag, self.peer_tag)
        } else {
            (0, 0)
        };
        StateCookie {
            created_at: self.now,
            local_tag,
            peer_tag: peer.initiate_tag,
            local_tie_tag,
            peer_tie_tag,
            local_initial_tsn,
            peer_initial_tsn: peer.initial_tsn,
            peer_a_rwnd: peer.a_rwnd,
            outbound_streams: self.config.streams_max.min(peer.inbound_streams),
            inbound_streams: self.config.streams_max.min(peer.outbound_streams),
            features: Features::of_config(&self.config).and(features).0,
            ports: (self.config.local_port, self.config.remote_port),
        }
    }

    fn reply_init_ack(&mut self, peer: &InitFields, cookie: &StateCookie, unrecognized: &[&[u8]]) {
        let sealed = cookie.seal(&self.cookie_key);
        let kinds = Features::of_config(&self.config).chunk_kinds();
        let fields = self.init_fields(cookie.local_tag, cookie.local_initial_tsn);
        let mut parameters = self.own_parameters(&kinds);
        parameters.push(Parameter::StateCookie(&sealed));
        for bytes in unrecognized {
            parameters.push(Parameter::UnrecognizedParameter(bytes));
        }
        let mut packet = self.blank_packet();
        if let Some(mut writer) =
            PacketWriter::new(&mut packet, usize::MAX, self.header(peer.initiate_tag))
        {
            writer.init(InitKind::InitAck, &fields, &parameters);
            let len = writer.finish(crate::wire::Checksum::Crc32c);
            packet.truncate(len);
            self.queue_reply(packet);
        }
    }

    fn init_fields(&self, local_tag: u32, initial_tsn: crate::Tsn) -> InitFields {
        InitFields {
            initiate_tag: local_tag,
            a_rwnd: self.config.receive_buffer_bytes,
            outbound_streams: self.config.streams_max,
            inbound_streams: self.config.streams_max,
            initial_tsn,
        }
    }

    fn own_parameters<'a>(&self, kinds: &'a [u8]) -> Vec<Parameter<'a>> {
        let mut parameters = Vec::with_capacity(5);
        if self.config.has_partial_reliability {
            parameters.push(Parameter::ForwardTsnSupported);
        }
        if !kinds.is_empty() {
            parameters.push(Parameter::SupportedExtensions(kinds));
        }
        if self.config.has_zero_checksum {
            parameters.push(Parameter::ZeroChecksumAcceptable(
                Parameter::DETECTED_BY_DTLS,
            ));
        }
        parameters
    }
}

/// How many parameters that we do not know we report, and how long each may be.
const UNRECOGNIZED_MAX: usize = 4;
const UNRECOGNIZED_BYTES_MAX: usize = 40;
