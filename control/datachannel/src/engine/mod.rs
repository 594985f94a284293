//! The data channels of one association, with the association inside.

mod close;
mod open;
mod receive;

use alloc::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use turnpike_sctp::{Association, ConfigError, Discard, MessageId, Outgoing, StreamId};
use turnpike_types::{Deadline, Entropy, Timestamp};

use crate::table::Table;
use crate::{Channel, ChannelId, Config, Event, Message, Output, Payload, SendError, ppid};

/// One end of an association with its data channels: an engine with the verbs of the house.
///
/// After any call that takes `&mut self`, poll outputs and messages like this until both are empty:
///
/// ```text
/// loop {
///     while let Some(output) = peer.poll_output(&mut buffer) { .. }
///     let Some(message) = peer.receive() else { break };
///     ..
/// }
/// ```
///
/// A message never overtakes the event that says its channel is open, and none is left when the
/// event comes that says its channel is closing or closed. What is not received stays charged against the
/// window that the peer may fill.
#[derive(Debug)]
pub struct DataChannels {
    association: Association,
    table: Table,
    message_size_max: u64,
    peer_message_size_max: u64,
    now: Timestamp,
    events: VecDeque<Event>,
    /// The end of the association, while there are messages that came before it.
    last_event: Option<turnpike_sctp::Event>,
    /// The association has ended.
    is_over: bool,
    /// The next message for the application.
    inbox: Option<Message>,
    /// What came behind the message in the inbox and closes its channel.
    held: Option<Held>,
    /// Channels whose DATA_CHANNEL_ACK the association could not take yet.
    unacknowledged: BTreeSet<ChannelId>,
    /// Channels whose reset the association could not take yet.
    unreset: BTreeSet<ChannelId>,
}

/// What waits until the message before it is with the application.
#[derive(Debug)]
enum Held {
    /// The reset of the stream on which that message came.
    Reset,
    /// What closes every channel.
    All(turnpike_sctp::Event),
}

impl DataChannels {
    /// An end without channels; it answers whoever connects.
    ///
    /// # Errors
    /// What the association cannot work with.
    pub fn new(
        config: Config,
        entropy: &mut impl Entropy,
        now: Timestamp,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            association: Association::new(config.association, entropy, now)?,
            table: Table::new(config.role, config.limits),
            message_size_max: config.message_size_max,
            peer_message_size_max: config.peer_message_size_max,
            now,
            events: VecDeque::new(),
            last_event: None,
            is_over: false,
            inbox: None,
            held: None,
            unacknowledged: BTreeSet::new(),
            unreset: BTreeSet::new(),
        })
    }

    /// Sets up the association. Both ends may; channels may be opened at once.
    pub fn connect(&mut self, now: Timestamp) {
        self.advance(now);
        self.is_over = false;
        self.association.connect(self.now);
    }

    /// Takes one datagram.
    ///
    /// # Errors
    /// Why it was ignored.
    pub fn handle_input(&mut self, now: Timestamp, datagram: &[u8]) -> Result<(), Discard> {
        self.advance(now);
        self.association.handle_input(self.now, datagram)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
        self.association.handle_timeout(self.now);
    }

    /// Yields the next output. A datagram is built in `buffer`, which holds at least
    /// [`packet_size_max`](turnpike_sctp::Config::packet_size_max) bytes.
    pub fn poll_output(&mut self, buffer: &mut [u8]) -> Option<Output> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(Output::Event(event));
            }
            match self.association.poll_output(buffer) {
                Some(turnpike_sctp::Output::Transmit(it)) => return Some(Output::Transmit(it)),
                Some(turnpike_sctp::Output::Event(event)) => self.hear(event),
                None if self.inbox.is_some() => return None,
                None => match self.association.receive() {
                    Some(incoming) => self.take(incoming),
                    None => self.end()?,
                },
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        self.association.poll_timeout()
    }

    /// Hands over the next message, if all outputs before it were polled.
    pub fn receive(&mut self) -> Option<Message> {
        let message = self.inbox.take()?;
        self.release(message.channel);
        Some(message)
    }

    /// Queues a message.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn send(
        &mut self,
        now: Timestamp,
        channel: ChannelId,
        payload: impl Into<Payload>,
    ) -> Result<(), SendError> {
        self.send_payload(now, channel, payload.into(), None)
    }

    /// Queues a message whose life is told in events under `id`: sent, then acknowledged or expired.
    /// The last 65,536 numbers are not for messages of the application.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn send_tracked(
        &mut self,
        now: Timestamp,
        channel: ChannelId,
        payload: impl Into<Payload>,
        id: MessageId,
    ) -> Result<(), SendError> {
        if id.0 >= open::OPEN_MESSAGES {
            return Err(SendError::ReservedMessageId);
        }
        self.send_payload(now, channel, payload.into(), Some(id))
    }

    /// Ends the association when all is delivered.
    pub fn shutdown(&mut self, now: Timestamp) {
        self.advance(now);
        self.association.shutdown(self.now);
    }

    /// Ends the association at once; `reason` is told to the peer.
    pub fn abort(&mut self, now: Timestamp, reason: &[u8]) {
        self.advance(now);
        self.association.abort(self.now, reason);
    }

    /// Says at which buffered amount the channel's low event comes: zero unless set.
    pub fn set_buffered_amount_low_threshold(&mut self, channel: ChannelId, bytes: usize) {
        if self.table.entry(channel).is_some() {
            self.association
                .set_buffered_amount_low_threshold(stream(channel), bytes);
        }
    }

    /// Bytes handed over on a channel and not sent yet, DCEP's included; zero without a channel.
    #[must_use]
    pub fn buffered_amount(&self, channel: ChannelId) -> usize {
        self.association.buffered_amount(stream(channel))
    }

    /// What an open channel is; `None` once it is closing.
    #[must_use]
    pub fn channel(&self, channel: ChannelId) -> Option<&Channel> {
        Some(&self.table.entry(channel)?.channel)
    }

    /// All open channels, by id.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelId, &Channel)> {
        self.table.iter_open()
    }

    /// How many channels are open.
    #[must_use]
    pub const fn channel_count(&self) -> usize {
        self.table.open_count()
    }

    /// The association below.
    #[must_use]
    pub const fn association(&self) -> &Association {
        &self.association
    }

    /// An earlier time than the last counts as the last.
    fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    fn send_payload(
        &mut self,
        now: Timestamp,
        channel: ChannelId,
        payload: Payload,
        id: Option<MessageId>,
    ) -> Result<(), SendError> {
        self.advance(now);
        let entry = self
            .table
            .entry(channel)
            .ok_or(SendError::NoChannel(channel))?;
        let Payload { kind, bytes } = payload;
        self.check_size(bytes.len())?;
        let is_empty = bytes.is_empty();
        let message = Outgoing {
            stream: stream(channel),
            ppid: ppid::of_message(kind, is_empty),
            payload: if is_empty { ONE_BYTE } else { bytes },
            is_unordered: entry.channel.is_unordered && entry.is_established,
            reliability: entry.channel.reliability.into(),
            id,
        };
        self.association.send(self.now, message)?;
        if let Some(entry) = self.table.entry_mut(channel) {
            entry.is_low_news = true;
        }
        Ok(())
    }

    fn check_size(&self, bytes: usize) -> Result<(), SendError> {
        let max = match self.peer_message_size_max {
            0 => usize::MAX,
            max => usize::try_from(max).unwrap_or(usize::MAX),
        };
        if bytes > max {
            return Err(SendError::MessageTooLarge { bytes, max });
        }
        Ok(())
    }

    /// DCEP is reliable and in order, whatever the channel is (RFC 8832 section 6).
    fn send_dcep(
        &mut self,
        channel: ChannelId,
        bytes: Bytes,
        id: Option<MessageId>,
    ) -> Result<(), turnpike_sctp::SendError> {
        let message = Outgoing {
            id,
            ..Outgoing::new(stream(channel), ppid::DCEP, bytes)
        };
        self.association.send(self.now, message)
    }

    /// The association is over and everything was received.
    fn end(&mut self) -> Option<()> {
        let event = self.last_event.take()?;
        self.close_all_from(ChannelId(0));
        self.events.push_back(Event::Association(event));
        Some(())
    }

    /// What the association says, in terms of channels.
    fn hear(&mut self, event: turnpike_sctp::Event) {
        use turnpike_sctp::Event as Below;
        match event {
            Below::MessageSent(id) if self.hear_of_message(id, true) => {}
            Below::MessageAcknowledged(id) | Below::MessageExpired { id, .. }
                if self.hear_of_message(id, false) => {}
            Below::BufferedAmountLow(stream) => self.hear_low(ChannelId(stream.0)),
            Below::IncomingStreamsReset(streams) => self.hear_incoming_reset(&streams),
            Below::OutgoingStreamsReset(streams) | Below::ResetRefused(streams) => {
                self.hear_outgoing_reset(&streams);
            }
            Below::Connected => {
                self.events.push_back(Event::Association(event));
                self.close_beyond_streams();
                self.retry();
            }
            Below::SendBufferRoom => {
                self.retry();
                self.events.push_back(Event::Association(event));
            }
            Below::Closed(_) => {
                self.is_over = true;
                self.last_event = Some(event);
            }
            Below::Restarted | Below::AssociationReset if self.inbox.is_some() => {
                self.held = Some(Held::All(event));
            }
            Below::Restarted | Below::AssociationReset => {
                self.close_all_from(ChannelId(0));
                self.events.push_back(Event::Association(event));
            }
            _ => self.events.push_back(Event::Association(event)),
        }
    }

    /// The message in the inbox, which came on this channel, is gone: hears what came behind it.
    fn release(&mut self, channel: ChannelId) {
        match self.held.take() {
            None => {}
            Some(Held::Reset) => self.hear_reset_of(channel),
            Some(Held::All(event)) => self.hear(event),
        }
    }

    fn hear_low(&mut self, channel: ChannelId) {
        if let Some(entry) = self.table.entry_mut(channel)
            && core::mem::take(&mut entry.is_low_news)
        {
            self.events.push_back(Event::BufferedAmountLow(channel));
        }
    }

    /// Tries again what the association had no room for.
    fn retry(&mut self) {
        for channel in core::mem::take(&mut self.unacknowledged) {
            self.acknowledge(channel);
        }
        self.retry_resets();
    }
}

const fn stream(channel: ChannelId) -> StreamId {
    StreamId(channel.0)
}

/// What stands for an empty message (RFC 8831 section 6.6).
const ONE_BYTE: Bytes = Bytes::from_static(&[0]);
