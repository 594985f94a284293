//! Permissions as the client believes them (RFC 8656 sections 9 and 10.3).
//!
//! The table knows which peer addresses are wanted, until when each is installed on the server,
//! and when its next CreatePermission is due. Requests are formed in `create_permission`; a
//! ChannelBind installs a permission too and says so with [`Permissions::installed`].
//!
//! Sorted by address, so a lookup is a binary search. Bounded by
//! [`Limits`](super::Limits): permissions, plus one for each channel.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use turnpike_types::Timestamp;

use super::RequestNumber;

/// How long the server keeps a permission (RFC 8656 section 9).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);

/// When a permission is refreshed: a minute is room for a whole transaction and a retry.
pub const PERMISSION_REFRESH: Duration = Duration::from_secs(240);

/// Most addresses in one CreatePermission: with IPv6, 24 bytes each, the request still fits the
/// smallest path MTU beside a long user name.
pub const PEERS_PER_REQUEST_MAX: usize = 16;

/// How much earlier than need be a permission is refreshed to share a request with another.
const REFRESH_SLACK: Duration = Duration::from_secs(10);

/// The table.
#[derive(Clone, Debug, Default)]
pub(super) struct Permissions {
    /// Sorted by address.
    entries: Vec<Permission>,
    /// The earliest `due_at` of those that no request carries.
    next_due: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Permission {
    ip: IpAddr,
    /// The server keeps it at least until then; zero before the first success.
    installed_until: Timestamp,
    /// When to ask for it next; `None` when it may lapse.
    due_at: Option<Timestamp>,
    /// The request that carries it now.
    request: Option<RequestNumber>,
    /// It shared a request that was refused, so it is asked for alone to tell which one is to blame.
    alone: bool,
    /// The caller asked for it, rather than a channel.
    asked: bool,
    /// The caller waits to hear how the next request ends.
    awaited: bool,
}

impl Permissions {
    /// Asks for an address at `now`, or again if it is there already.
    pub(super) fn want(&mut self, ip: IpAddr, now: Timestamp) {
        self.update(ip, |entry| {
            entry.asked = true;
            entry.awaited = true;
            entry.due_at = Some(now);
        });
    }

    /// Lets an address lapse: it is no longer refreshed.
    pub(super) fn release(&mut self, ip: &IpAddr) {
        if let Some(entry) = self.entry_mut(ip) {
            entry.asked = false;
            entry.due_at = None;
        }
        self.settle();
    }

    /// Lets an address lapse that was installed for a channel only.
    pub(super) fn release_unasked(&mut self, ip: &IpAddr) {
        if self.entry_mut(ip).is_some_and(|entry| !entry.asked) {
            self.release(ip);
        }
    }

    /// Hands up to `max` due addresses to `request`; `false` when none is due. Those due soon come
    /// along, so that permissions created one by one end up in one request.
    pub(super) fn take_due(&mut self, request: RequestNumber, now: Timestamp, max: usize) -> bool {
        if self.next_due.is_none_or(|next_due| next_due > now) {
            return false;
        }
        let horizon = now + REFRESH_SLACK;
        let mut taken = 0;
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.is_due(horizon))
        {
            if taken > 0 && entry.alone {
                continue;
            }
            entry.request = Some(request);
            taken += 1;
            if taken >= max || entry.alone {
                break;
            }
        }
        self.settle();
        taken > 0
    }

    /// The addresses that `request` carries.
    pub(super) fn carried_by(&self, request: RequestNumber) -> impl Iterator<Item = IpAddr> + '_ {
        self.entries
            .iter()
            .filter(move |entry| entry.request == Some(request))
            .map(|entry| entry.ip)
    }

    /// The request first sent at `sent_at` succeeded. Returns the addresses the caller waits for.
    pub(super) fn granted(&mut self, request: RequestNumber, sent_at: Timestamp) -> Vec<IpAddr> {
        let mut awaited = Vec::new();
        for entry in &mut self.entries {
            if entry.request != Some(request) {
                continue;
            }
            let released = entry.due_at.is_none();
            entry.install(sent_at);
            if released {
                entry.due_at = None;
            }
            if core::mem::take(&mut entry.awaited) {
                awaited.push(entry.ip);
            }
        }
        self.settle();
        awaited
    }

    /// The server refused the request: each address that shared it is tried alone, a lone one is
    /// given up and returned.
    pub(super) fn refused(&mut self, request: RequestNumber, now: Timestamp) -> Vec<IpAddr> {
        if self.carried_by(request).nth(1).is_none() {
            return self.give_up(request, |_| true);
        }
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.request == Some(request))
        {
            entry.request = None;
            entry.alone = true;
            entry.due_at = entry.due_at.map(|_| now);
        }
        self.settle();
        Vec::new()
    }

    /// The request went unanswered: what is still installed is asked for again at `retry_at`, the
    /// rest is given up and returned.
    pub(super) fn unanswered(
        &mut self,
        request: RequestNumber,
        now: Timestamp,
        retry_at: Timestamp,
    ) -> Vec<IpAddr> {
        let given_up = self.give_up(request, |entry| entry.installed_until <= now);
        for entry in self
            .entries
            .iter_mut()
            .filter(|e| e.request == Some(request))
        {
            entry.request = None;
            entry.due_at = entry.due_at.map(|_| retry_at);
        }
        self.settle();
        given_up
    }

    /// A ChannelBind first sent at `sent_at` has installed the address as well.
    pub(super) fn installed(&mut self, ip: IpAddr, sent_at: Timestamp) {
        self.update(ip, |entry| {
            let request = entry.request;
            entry.install(sent_at);
            entry.request = request;
        });
    }

    /// Forgets what may lapse and has lapsed.
    pub(super) fn purge(&mut self, now: Timestamp) {
        self.entries.retain(|entry| {
            entry.due_at.is_some() || entry.request.is_some() || entry.installed_until > now
        });
    }

    /// Forgets addresses that `keep` does not want.
    pub(super) fn retain(&mut self, keep: impl Fn(&IpAddr) -> bool) {
        self.entries.retain(|entry| keep(&entry.ip));
        self.settle();
    }

    /// Whether the server holds a permission for the address.
    #[inline]
    pub(super) fn is_installed(&self, ip: &IpAddr, now: Timestamp) -> bool {
        self.position(ip)
            .ok()
            .and_then(|position| self.entries.get(position))
            .is_some_and(|entry| entry.installed_until > now)
    }

    /// How many addresses are asked for once `ips` are too.
    pub(super) fn count_with(&self, ips: &[IpAddr]) -> usize {
        let asked = self.entries.iter().filter(|entry| entry.asked).count();
        let is_asked = |ip: &IpAddr| {
            self.position(ip)
                .ok()
                .and_then(|position| self.entries.get(position))
                .is_some_and(|entry| entry.asked)
        };
        asked + ips.iter().filter(|ip| !is_asked(ip)).count()
    }

    /// When the next request is due.
    pub(super) const fn next_due(&self) -> Option<Timestamp> {
        self.next_due
    }

    fn give_up(
        &mut self,
        request: RequestNumber,
        condition: impl Fn(&Permission) -> bool,
    ) -> Vec<IpAddr> {
        let mut given_up = Vec::new();
        self.entries.retain(|entry| {
            let lost = entry.request == Some(request) && condition(entry);
            if lost {
                given_up.push(entry.ip);
            }
            !lost
        });
        self.settle();
        given_up
    }

    fn position(&self, ip: &IpAddr) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.ip.cmp(ip))
    }

    fn entry_mut(&mut self, ip: &IpAddr) -> Option<&mut Permission> {
        let position = self.position(ip).ok()?;
        self.entries.get_mut(position)
    }

    /// Changes the entry of an address, which is put in if it is not there.
    fn update(&mut self, ip: IpAddr, change: impl FnOnce(&mut Permission)) {
        let position = self.position(&ip).unwrap_or_else(|position| {
            self.entries.insert(position, Permission::new(ip));
            position
        });
        if let Some(entry) = self.entries.get_mut(position) {
            change(entry);
        }
        self.settle();
    }

    fn settle(&mut self) {
        self.next_due = self
            .entries
            .iter()
            .filter(|entry| entry.request.is_none())
            .filter_map(|entry| entry.due_at)
            .min();
    }
}

impl Permission {
    const fn new(ip: IpAddr) -> Self {
        Self {
            ip,
            installed_until: Timestamp::ZERO,
            due_at: None,
            request: None,
            alone: false,
            asked: false,
            awaited: false,
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.request.is_none() && self.due_at.is_some_and(|due_at| due_at <= now)
    }

    fn install(&mut self, sent_at: Timestamp) {
        self.installed_until = self.installed_until.max(sent_at + PERMISSION_LIFETIME);
        self.due_at = Some(sent_at + PERMISSION_REFRESH);
        self.request = None;
        self.alone = false;
    }
}
