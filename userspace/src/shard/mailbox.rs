//! Orders to a shard from the rest of the process: a bounded queue and a wake-up.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::credentials::CredentialChange;

/// Orders that may wait; a sender that fills the box waits itself.
const ORDERS_MAX: usize = 64;

/// Something a shard is told to do.
#[derive(Debug)]
pub enum Order {
    /// End the loop.
    Stop,
    /// Publish the numbers as they are now, then answer.
    Publish(SyncSender<()>),
    /// Forget a user: no new allocations in its name.
    RemoveUser(String),
    /// Another user or secret, or one less.
    Credentials(CredentialChange),
}

/// The sender's end.
#[derive(Clone, Debug)]
pub struct Mailbox {
    orders: SyncSender<Order>,
    wake: Arc<EventFd>,
}

/// The shard's end.
#[derive(Debug)]
pub struct Inbox {
    orders: Receiver<Order>,
    wake: Arc<EventFd>,
}

/// Makes a mailbox.
///
/// # Errors
/// When there is no descriptor left for the wake-up.
pub fn mailbox() -> nix::Result<(Mailbox, Inbox)> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let wake = Arc::new(EventFd::from_flags(flags)?);
    let (sender, receiver) = sync_channel(ORDERS_MAX);
    Ok((
        Mailbox {
            orders: sender,
            wake: Arc::clone(&wake),
        },
        Inbox {
            orders: receiver,
            wake,
        },
    ))
}

impl Mailbox {
    /// Leaves an order and wakes the shard. `false` when the shard is gone.
    pub fn send(&self, order: Order) -> bool {
        self.orders.send(order).is_ok() && self.wake.write(1).is_ok()
    }
}

impl Inbox {
    /// What becomes readable when there are orders.
    #[must_use]
    pub fn wake(&self) -> &EventFd {
        &self.wake
    }

    /// The next order, if there is one.
    pub fn take(&self) -> Option<Order> {
        self.orders.try_recv().ok()
    }

    /// Resets the wake-up; to be called before [`take`](Self::take), or an order could be missed.
    pub fn acknowledge(&self) {
        // An error means there was nothing to reset.
        let _count = self.wake.read();
    }
}
