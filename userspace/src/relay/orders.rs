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

    /// Tells every shard of a change of credentials. `false` when one of them does not run any more.
    pub fn apply(&self, change: &CredentialChange) -> bool {
        self.tell_all(|| Order::Credentials(change.clone()))
    }

    /// Has new allocations refused from now on. `false` when a shard does not run any more.
    pub fn drain(&self) -> bool {
        self.tell_all(|| Order::Drain)
    }

    /// Has every shard publish its numbers now, and waits for them.
    pub(super) fn publish(&self) {
        for mailbox in self.mailboxes.iter() {
            let (answer, answered) = sync_channel(1);
            if mailbox.send(Order::Publish(answer)) {
                let _late = answered.recv_timeout(PUBLISHED_WITHIN);
            }
        }
    }

    /// Leaves an order with every shard, also when one is gone.
    fn tell_all(&self, order: impl Fn() -> Order) -> bool {
        let told = self.mailboxes.iter().filter(|it| it.send(order()));
        told.count() == self.mailboxes.len()
    }
}
