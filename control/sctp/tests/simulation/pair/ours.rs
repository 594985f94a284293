//! Our association as an end of a world.

use turnpike_sctp::{
    Association, Config, Incoming, Outgoing, Output as Ours, ResetError, SendError, StreamId,
};
use turnpike_sim::SeededEntropy;
use turnpike_types::{Deadline, Timestamp};

use super::endpoint::{Abilities, Endpoint, Output, Sort};

pub(crate) const OURS: Sort = Sort {
    name: "turnpike",
    make,
    abilities: Abilities::ALL,
};

fn make(config: &Config, entropy: &mut SeededEntropy, now: Timestamp) -> Box<dyn Endpoint> {
    Box::new(Own {
        association: Association::new(config.clone(), entropy, now).unwrap(),
        buffer: vec![0; config.packet_size_max],
    })
}

struct Own {
    association: Association,
    buffer: Vec<u8>,
}

impl Endpoint for Own {
    fn connect(&mut self, now: Timestamp) {
        self.association.connect(now);
    }

    fn handle_input(&mut self, now: Timestamp, datagram: &[u8]) {
        // Ignored datagrams are part of the weather.
        let _ = self.association.handle_input(now, datagram);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.association.handle_timeout(now);
    }

    fn poll_output(&mut self, _: Timestamp) -> Option<Output> {
        Some(match self.association.poll_output(&mut self.buffer)? {
            Ours::Transmit(transmit) => Output::Datagram(self.buffer[..transmit.len].to_vec()),
            Ours::Event(event) => Output::Event(event),
        })
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.association
            .poll_timeout()
            .map(|Deadline { at, .. }| at)
    }

    fn send(&mut self, now: Timestamp, message: Outgoing) -> Result<(), SendError> {
        self.association.send(now, message)
    }

    fn receive(&mut self, _: Timestamp) -> Option<Incoming> {
        self.association.receive()
    }

    fn reset_streams(&mut self, now: Timestamp, streams: &[StreamId]) -> Result<(), ResetError> {
        self.association.reset_streams(now, streams)
    }

    fn reset_association(&mut self, now: Timestamp) -> Result<(), ResetError> {
        self.association.reset_association(now)
    }

    fn shutdown(&mut self, now: Timestamp) {
        self.association.shutdown(now);
    }

    fn abort(&mut self, now: Timestamp) {
        self.association.abort(now, b"the plan says so");
    }

    fn buffered_amount(&self, stream: StreamId) -> usize {
        self.association.buffered_amount(stream)
    }

    fn memory_bytes(&self) -> Option<usize> {
        Some(self.association.memory_bytes())
    }
}
