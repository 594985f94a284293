//! What a shard does about the orders in its mailbox.

use super::{Order, Shard};
use crate::credentials::CredentialChange;

impl Shard {
    /// Obeys what is in the mailbox and takes in what other shards passed on.
    pub(super) fn obey(&mut self) {
        self.inbox.acknowledge();
        while let Some(order) = self.inbox.take() {
            match order {
                Order::Stop => self.stopping = true,
                Order::Drain => self.server.set_draining(true),
                Order::Publish(answer) => {
                    self.publish();
                    // Whoever asked may have given up.
                    let _unheard = answer.try_send(());
                }
                Order::Credentials(change) => self.change_credentials(change),
                Order::Adopt(stream) => self.adopt(stream),
                Order::Lend { five_tuple, to } => self.lend(five_tuple, to),
                Order::Unlend { five_tuple, from } => self.have_back(five_tuple, from),
            }
        }
        self.take_parcels();
    }

    fn change_credentials(&mut self, change: CredentialChange) {
        if let Err(error) = change.apply_to(self.server.credentials_mut()) {
            self.complain(&format!(
                "a change of users or secrets is not used: {error}"
            ));
        }
    }
}
