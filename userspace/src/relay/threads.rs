//! The shards' threads: started together, each pinned to a core, stopped together.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use super::StartError;
use crate::shard::{Inbox, Mailbox, Order, Shard, ShardConfig, ShardError, Tally};

/// One shard as the rest of the process sees it.
#[derive(Debug)]
pub(super) struct Thread {
    index: u16,
    mailbox: Mailbox,
    /// `None` once it was joined.
    handle: Option<JoinHandle<Result<(), ShardError>>>,
}

/// What a thread is started with.
pub(super) struct Start {
    pub(super) config: ShardConfig,
    pub(super) mailbox: Mailbox,
    pub(super) inbox: Inbox,
    pub(super) tally: Arc<Tally>,
}

/// Starts one shard after the other, each when the one before serves. One that does not start stops
/// those before it.
pub(super) fn start(starts: Vec<Start>, pin: bool) -> Result<Vec<Thread>, StartError> {
    let mut threads = Vec::new();
    for (index, start) in (0_u16..).zip(starts) {
        match Thread::start(index, start, pin) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                // They have served nobody yet.
                let _numbers = stop(&mut threads);
                return Err(error);
            }
        }
    }
    Ok(threads)
}

/// Stops all, and answers with the first fault there was.
pub(super) fn stop(threads: &mut [Thread]) -> Result<(), StartError> {
    for thread in threads.iter() {
        thread.send(Order::Stop);
    }
    let ended: Vec<_> = threads.iter_mut().map(Thread::join).collect();
    ended.into_iter().collect()
}

impl Thread {
    fn start(index: u16, start: Start, pin: bool) -> Result<Self, StartError> {
        let mailbox = start.mailbox.clone();
        let (ready, started) = sync_channel(1);
        let handle = std::thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || {
                if pin {
                    pin_to_core(index);
                }
                // A ring belongs to the thread that makes it.
                let mut shard = match Shard::new(start.config, start.inbox, start.tally) {
                    Ok(shard) => shard,
                    Err(error) => {
                        // The starter waits on the other end.
                        let _unheard = ready.send(Err(error));
                        return Ok(());
                    }
                };
                let _unheard = ready.send(Ok(()));
                shard.run()
            })
            .map_err(StartError::Thread)?;
        if let Err(error) = wait_for(index, &started) {
            // Its listeners are closed before anybody hears of it.
            let _reported = handle.join();
            return Err(error);
        }
        Ok(Self {
            index,
            mailbox,
            handle: Some(handle),
        })
    }

    /// Leaves an order. `false` when the shard is gone.
    pub(super) fn send(&self, order: Order) -> bool {
        self.mailbox.send(order)
    }

    pub(super) fn is_running(&self) -> bool {
        self.handle
            .as_ref()
            .is_some_and(|handle| !handle.is_finished())
    }

    fn join(&mut self) -> Result<(), StartError> {
        let shard = self.index;
        match self.handle.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(StartError::Shard { shard, error }),
            Some(Err(_)) => Err(StartError::Panicked { shard }),
        }
    }
}

fn wait_for(shard: u16, started: &Receiver<Result<(), ShardError>>) -> Result<(), StartError> {
    match started.recv() {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(StartError::Shard { shard, error }),
        Err(_) => Err(StartError::Panicked { shard }),
    }
}

/// Pins the calling thread to a core that the process may use; with more shards than cores, cores
/// are shared.
fn pin_to_core(shard: u16) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let core = cores.get(usize::from(shard) % cores.len().max(1)).copied();
    if !core.is_some_and(core_affinity::set_for_current) {
        tracing::warn!("the thread of shard {shard} could not be pinned to a core");
    }
}
