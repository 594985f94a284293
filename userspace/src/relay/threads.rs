//! The shards' threads: started together, each pinned to a core, stopped together.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::StartError;
use crate::shard::{Inbox, Mailbox, Shard, ShardConfig, ShardError, Tally};

/// How long the shards may take to stop: longer than their farewell to clients on streams.
pub(super) const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// How often they are looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// One shard as the rest of the process sees it.
#[derive(Debug)]
pub(super) struct Thread {
    index: u16,
    mailbox: Mailbox,
    /// `None` once it was joined, or given up.
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
                let _numbers = stop(&mut threads, STOPPED_WITHIN);
                return Err(error);
            }
        }
    }
    Ok(threads)
}

/// Stops all, and answers with the first fault there was. One that does not stop in time is left to
/// the end of the process.
pub(super) fn stop(threads: &mut [Thread], patience: Duration) -> Result<(), StartError> {
    for thread in threads.iter() {
        thread.mailbox.stop();
    }
    let until = Instant::now() + patience;
    let ended: Vec<_> = threads.iter_mut().map(|it| it.join(until)).collect();
    ended.into_iter().collect()
}

impl Thread {
    fn start(index: u16, start: Start, pin: bool) -> Result<Self, StartError> {
        let mailbox = start.mailbox.clone();
        let (ready, started) = sync_channel(1);
        let handle = thread::Builder::new()
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

    pub(super) fn is_running(&self) -> bool {
        self.handle
            .as_ref()
            .is_some_and(|handle| !handle.is_finished())
    }

    fn join(&mut self, until: Instant) -> Result<(), StartError> {
        let shard = self.index;
        while self.is_running() && Instant::now() < until {
            thread::sleep(LOOK_EVERY);
        }
        let hangs = self.is_running();
        let Some(handle) = self.handle.take() else {
            return Ok(());
        };
        if hangs {
            return Err(StartError::Hangs { shard });
        }
        match handle.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(StartError::Shard { shard, error }),
            Err(_) => Err(StartError::Panicked { shard }),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::mailbox;

    #[test]
    fn shard_that_hangs_is_named_and_not_waited_for() {
        let (mailbox, inbox) = mailbox(0).unwrap();
        let (release, hold) = sync_channel::<()>(0);
        let hangs = move || {
            let _inbox = inbox;
            let _released = hold.recv();
            Ok(())
        };
        let mut threads = [Thread {
            index: 3,
            mailbox,
            handle: Some(thread::spawn(hangs)),
        }];
        let stopped = stop(&mut threads, Duration::from_millis(20));
        let error = stopped.unwrap_err();
        assert!(matches!(error, StartError::Hangs { shard: 3 }), "{error}");
        assert!(error.to_string().contains("shard 3"), "{error}");
        assert!(!threads.iter().any(Thread::is_running));
        drop(release);
    }
}
