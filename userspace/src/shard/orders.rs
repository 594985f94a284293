//! What a shard does about its mailbox.
//!
//! Words of other shards are few and short, and a packet that was sent after one must find it heard:
//! they are taken at once. Orders and connections may be many: so many a turn, and the packets of
//! the turn do not wait for the others.

use super::complaints::Trouble;
use super::mailbox::{WORDS_MAX, Word};
use super::{Order, Shard};
use crate::credentials::CredentialChange;

/// Orders of one turn, and connections.
const A_TURN: usize = 32;

/// What this turn may still take.
#[derive(Debug)]
pub(super) struct Allowance {
    orders: usize,
    streams: usize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            orders: A_TURN,
            streams: A_TURN,
        }
    }
}

impl Allowance {
    const fn is_spent(&self) -> bool {
        self.orders == 0 || self.streams == 0
    }
}

impl Shard {
    /// Obeys what is in the mailbox and takes in what other shards passed on.
    pub(super) fn obey(&mut self) {
        self.inbox.acknowledge();
        self.hear();
        while self.allowance.streams > 0 {
            let Some(stream) = self.inbox.take_stream() else {
                break;
            };
            self.allowance.streams -= 1;
            self.done += 1;
            self.adopt(stream);
        }
        self.take_parcels();
    }

    /// Hears what counts for the packets that come after it.
    pub(super) fn hear(&mut self) {
        self.stopping = self.inbox.is_stopping();
        self.server.set_draining(self.inbox.is_draining());
        for _ in 0..WORDS_MAX {
            let Some(word) = self.inbox.take_word() else {
                break;
            };
            match word {
                Word::Lend { five_tuple, to } => self.lend(five_tuple, to),
                Word::Unlend { five_tuple, from } => self.have_back(five_tuple, from),
                Word::End { five_tuple } => self.end_allocation(&five_tuple),
            }
        }
        while self.allowance.orders > 0 {
            let Some(order) = self.inbox.take() else {
                break;
            };
            self.allowance.orders -= 1;
            match order {
                Order::Publish(answer) => {
                    self.publish();
                    // Whoever asked may have given up.
                    let _unheard = answer.try_send(());
                }
                Order::Credentials(change) => self.change_credentials(change),
            }
        }
    }

    /// Ends a turn; it is woken again for what is left.
    pub(super) fn renew_allowance(&mut self) {
        if std::mem::take(&mut self.allowance).is_spent() {
            self.inbox.come_back();
        }
    }

    fn change_credentials(&mut self, change: CredentialChange) {
        if let Err(error) = change.apply_to(self.server.credentials_mut()) {
            self.complain(
                Trouble::Credentials,
                &format!("a change of users or secrets is not used: {error}"),
            );
        }
    }
}
