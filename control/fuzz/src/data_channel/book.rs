//! What may be told of each channel, and in which order.

use std::collections::BTreeMap;

use turnpike_datachannel::{Channel, ChannelId, DataChannels, DtlsRole, Event, Message};

use super::LIMITS;

pub(super) struct Book {
    role: DtlsRole,
    channels: BTreeMap<ChannelId, Entry>,
}

struct Entry {
    /// What we asked for, where it was us.
    wanted: Option<Channel>,
    state: State,
    /// Within a message that is handed on in parts.
    is_amid: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// By us; the peer has not answered.
    Announced,
    Open,
    Closing,
}

impl Book {
    pub(super) const fn new(role: DtlsRole) -> Self {
        Self {
            role,
            channels: BTreeMap::new(),
        }
    }

    pub(super) fn we_open(&mut self, id: ChannelId, channel: Channel, is_negotiated: bool) {
        let is_ours = id.0.is_multiple_of(2) == matches!(self.role, DtlsRole::Client);
        assert!(is_negotiated || is_ours, "{id:?} is the peer's to open");
        let state = if is_negotiated {
            State::Open
        } else {
            State::Announced
        };
        self.enter(id, Some(channel), state);
    }

    fn enter(&mut self, id: ChannelId, wanted: Option<Channel>, state: State) {
        let entry = Entry {
            wanted,
            state,
            is_amid: false,
        };
        let before = self.channels.insert(id, entry);
        assert!(before.is_none(), "{id:?} opens while it is there");
    }

    pub(super) fn we_close(&mut self, id: ChannelId) {
        if let Some(entry) = self.channels.get_mut(&id) {
            entry.state = State::Closing;
        }
    }

    pub(super) fn is_open(&self, id: ChannelId) -> bool {
        let entry = self.channels.get(&id);
        entry.is_some_and(|entry| entry.state != State::Closing)
    }

    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::OpenedByPeer(id) => {
                let is_ours = id.0.is_multiple_of(2) == matches!(self.role, DtlsRole::Client);
                assert!(!is_ours, "{id:?} is ours to open");
                self.enter(*id, None, State::Open);
            }
            Event::Opened(id) => {
                let entry = self.channels.get_mut(id).expect("opened, and nobody asked");
                assert_eq!(entry.state, State::Announced, "{id:?} opened");
                entry.state = State::Open;
            }
            Event::Closing(id) => {
                assert!(self.is_open(*id), "{id:?} closes, and is not open");
                self.we_close(*id);
            }
            Event::Closed(id) => {
                let entry = self.channels.remove(id);
                assert!(entry.is_some(), "{id:?} closed, and never was");
            }
            Event::Violation(id, _) => self.we_close(*id),
            _ => {}
        }
    }

    pub(super) fn got(&mut self, message: &Message) {
        let id = message.channel;
        assert!(self.is_open(id), "a message on {id:?}, which is not open");
        let entry = self.channels.get_mut(&id).expect("it is open");
        assert_ne!(
            message.is_begin, entry.is_amid,
            "parts of {id:?} do not follow each other"
        );
        entry.is_amid = !message.is_end;
    }

    /// The engine lists what the book has, within the limits.
    pub(super) fn agrees_with(&self, engine: &DataChannels) {
        let listed: Vec<ChannelId> = engine.channels().map(|(id, _)| id).collect();
        assert_eq!(listed.len(), engine.channel_count());
        assert!(listed.len() <= LIMITS.channels_max);
        let names = |channel: &Channel| channel.label.len() + channel.protocol.len();
        let names: usize = engine.channels().map(|(_, it)| names(it)).sum();
        assert!(names <= LIMITS.names_bytes_max, "{names} bytes of names");
        for (id, channel) in engine.channels() {
            assert!(self.is_open(id), "{id:?} is listed");
            if let Some(wanted) = &self.channels[&id].wanted {
                assert_eq!(channel, wanted);
            }
        }
        let open = self.channels.keys().filter(|id| self.is_open(**id));
        assert!(open.eq(&listed), "{listed:?} are listed");
    }

    pub(super) fn assert_all_gone(&self) {
        let left: Vec<_> = self.channels.keys().collect();
        assert!(left.is_empty(), "{left:?} were never told to be closed");
    }
}
