//! Orders to all shards, for whoever has some: the command line, the watch over the database.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::credentials::CredentialChange;
use crate::shard::{Mailbox, Order};

/// How long a shard may take to publish; one that hangs is seen by its numbers standing still.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(1);

/// The mailboxes of all shards. Cheap to clone; after the end of the relay it reaches nobody.
#[derive(Clone, Debug)]
pub struct Orders {
    mailboxes: Arc<[Mailbox]>,
}

impl Orders {
    pub(super) fn new(mailboxes: Vec<Mailbox>) -> Self {
        Self {
            mailboxes: mailboxes.into(),
        }
    }

    /// Tells every shard of a change of credentials, also when one is gone; waits for room, at most
    /// until the relay is stopped. `false` when one of them does not run any more.
    pub fn apply(&self, change: &CredentialChange) -> bool {
        let order = || Order::Credentials(change.clone());
        let told = self.mailboxes.iter().filter(|it| it.send(order()));
        told.count() == self.mailboxes.len()
    }

    /// Has new allocations refused from now on.
    pub fn drain(&self) {
        self.mailboxes.iter().for_each(Mailbox::drain);
    }

    /// Has every shard publish its numbers now, and waits a moment for them; not for a shard that
    /// has too many orders already.
    pub(super) fn publish(&self) {
        for mailbox in self.mailboxes.iter() {
            let (answer, answered) = sync_channel(1);
            if mailbox.try_send(Order::Publish(answer)) {
                let _late = answered.recv_timeout(PUBLISHED_WITHIN);
            }
        }
    }
}
