//! The relay's host: server, lane and executor, driven as the engine contract says, and watched.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turnpike_sim::{Delivery, Executor, HostId, Outcome, SeededEntropy, World};
use turnpike_stun::{AttributeType, ErrorCode, HEADER_LEN, Message};
use turnpike_turn::forward::{Forwarder, ForwarderConfig, Verdict};
use turnpike_turn::server::{
    Disposition, IcmpError, Output, PeerPolicy, Redirect, Server, TRANSMIT_MAX,
};
use turnpike_turn::{RelayAddress, advertised_ip, wire_ip};
use turnpike_types::{
    Action, ClientAddr, Command, FiveTuple, PeerAddr, RelayedAddr, ServerAddr, Timestamp, Transport,
};

use crate::account::UNIX_START;
use crate::mirror::Mirror;
use crate::model::Model;
use crate::plan::{self, Plan, TCP_PORT, UDP_PORT};
use crate::violation::{Checked, ensure, violated};

/// All that runs on the relay's host.
pub(crate) struct Relay {
    pub(crate) host: HostId,
    pub(crate) server: Server<SeededEntropy>,
    pub(crate) model: Model,
    lane: Mirror,
    executor: Executor,
    own: Vec<RelayAddress>,
    ports_max: usize,
    limit: usize,
    /// How far the server's clock is ahead of the world's.
    ahead: Duration,
    buf: Vec<u8>,
    /// The versions and the time at which model and lane last agreed.
    agreed: (u64, u64, Timestamp),
    counts: Counts,
    /// Requests that came while a command stalled: the engine is drained before it is fed again.
    backlog: VecDeque<(FiveTuple, Vec<u8>)>,
}

/// The driver's own count of what it showed the lane.
#[derive(Debug, Default)]
struct Counts {
    forwarded: u64,
    passed: u64,
    dropped: u64,
}

impl Relay {
    pub(crate) fn new(plan: &Plan, host: HostId, dice: &mut SeededEntropy) -> Self {
        let mut server = Server::new(plan.config(), dice.fork(), Timestamp::ZERO).unwrap();
        server.set_wall_clock(Timestamp::ZERO, UNIX_START);
        let config = ForwarderConfig {
            entries_max: 4_096,
            services: plan::services(),
            relay_map: plan.relay.clone(),
        };
        Self {
            host,
            ports_max: server.free_ports(),
            limit: plan.limits.allocations,
            server,
            model: Model::new(plan),
            lane: Mirror::new(Forwarder::new(config, dice)),
            executor: Executor::new(plan.faults, dice.fork()),
            own: plan.relay.clone(),
            ahead: Duration::ZERO,
            buf: vec![0; TRANSMIT_MAX],
            agreed: (0, 0, Timestamp::ZERO),
            counts: Counts::default(),
            backlog: VecDeque::new(),
        }
    }

    /// The time that server and lane are told.
    pub(crate) fn now(&self, world: &World) -> Timestamp {
        world.now() + self.ahead
    }

    /// The server's clock jumps, as after a suspend.
    pub(crate) fn step_clock(&mut self, by: Duration) {
        self.ahead += by;
    }

    /// When the world should look here again.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        let due = match self.executor.stalled_until() {
            Some(until) => until,
            None => self.server.poll_timeout()?.at,
        };
        let ahead = u64::try_from(self.ahead.as_nanos()).unwrap();
        Some(Timestamp::from_nanos(due.as_nanos().saturating_sub(ahead)))
    }

    /// Takes a datagram that arrived: from a client, or at a relayed address.
    pub(crate) fn receive(
        &mut self,
        world: &mut World,
        delivery: &Delivery,
    ) -> Checked<Option<Vec<u8>>> {
        let Delivery {
            source,
            destination,
            payload,
            ..
        } = delivery;
        let is_listener = [UDP_PORT, TCP_PORT].contains(&destination.port())
            && plan::services().contains(destination);
        if is_listener {
            let transport = match destination.port() {
                TCP_PORT => Transport::Tcp,
                _ => Transport::Udp,
            };
            let (client, server) = (ClientAddr(*source), ServerAddr(*destination));
            self.from_client(
                world,
                FiveTuple {
                    client,
                    server,
                    transport,
                },
                payload,
            )
        } else {
            let relayed = SocketAddr::new(wire_ip(&self.own, destination.ip()), destination.port());
            self.from_peer(world, relayed, *source, payload)
                .map(|()| None)
        }
    }

    /// The payload of a packet that was not forwarded, where a client believed it would be.
    fn from_client(
        &mut self,
        world: &mut World,
        five_tuple: FiveTuple,
        bytes: &[u8],
    ) -> Checked<Option<Vec<u8>>> {
        let now = self.now(world);
        let (verdict, expected) = self.lane.from_client(now, &five_tuple, bytes, &self.own)?;
        match verdict {
            Verdict::ToPeer(to) => {
                self.counts.forwarded += 1;
                self.check_permitted(now, &five_tuple, to.peer.ip())?;
                let payload = bytes[to.payload].to_vec();
                self.to_peer(world, to.relayed, to.peer, &payload)?;
                return Ok(None);
            }
            Verdict::Pass => {
                self.counts.passed += 1;
                self.backlog.push_back((five_tuple, bytes.to_vec()));
                self.work_off(world)?;
            }
            Verdict::Drop(_) => self.counts.dropped += 1,
            Verdict::ToClient(_) => violated!(LaneAgrees, "{five_tuple} sent to itself"),
        }
        Ok(expected
            .map(|passage| passage.payload)
            .or_else(|| payload_of(bytes)))
    }

    /// Hands requests to the server, one after the other, while no command stalls.
    fn work_off(&mut self, world: &mut World) -> Checked {
        let now = self.now(world);
        while !self.is_stalled() {
            let Some((five_tuple, bytes)) = self.backlog.pop_front() else {
                return Ok(());
            };
            let unix_seconds = UNIX_START + now.as_secs();
            if self.server.handle_input(now, five_tuple, &bytes) == Disposition::Consumed {
                self.model.taken_up(now, unix_seconds, five_tuple, &bytes);
            }
            self.drain(world)?;
        }
        let waiting = self.backlog.len();
        ensure!(
            waiting <= BACKLOG_MAX,
            MemoryBounded,
            "{waiting} requests wait"
        );
        Ok(())
    }

    /// To a peer; one that is a relayed address of ours is reached without leaving the host.
    fn to_peer(
        &mut self,
        world: &mut World,
        from: RelayedAddr,
        to: PeerAddr,
        payload: &[u8],
    ) -> Checked {
        if self.own.iter().any(|relay| relay.ip == to.ip()) {
            return self.from_peer(world, to.0, from.0, payload);
        }
        let source = SocketAddr::new(advertised_ip(&self.own, from.ip()), from.port());
        world.send(self.host, source, to.0, payload);
        Ok(())
    }

    fn from_peer(
        &mut self,
        world: &mut World,
        relayed: SocketAddr,
        peer: SocketAddr,
        payload: &[u8],
    ) -> Checked {
        let now = self.now(world);
        match self
            .lane
            .from_peer(now, relayed, peer, payload, &self.own)?
        {
            Some((five_tuple, message)) => {
                self.counts.forwarded += 1;
                self.check_permitted(now, &five_tuple, peer.ip())?;
                world.send(
                    self.host,
                    five_tuple.server.0,
                    five_tuple.client.0,
                    &message,
                );
            }
            None => self.counts.dropped += 1,
        }
        Ok(())
    }

    /// What was sent to a peer came back as an ICMP error.
    pub(crate) fn icmp(
        &mut self,
        world: &mut World,
        relayed: SocketAddr,
        peer: SocketAddr,
    ) -> Checked {
        if self.is_stalled() {
            return Ok(());
        }
        let now = self.now(world);
        let relayed = SocketAddr::new(wire_ip(&self.own, relayed.ip()), relayed.port());
        let (kind, code) = if peer.is_ipv4() { (3, 3) } else { (1, 4) };
        self.model.icmp(now);
        let (relayed, peer) = (RelayedAddr(relayed), PeerAddr(peer));
        let error = IcmpError {
            relayed,
            peer,
            kind,
            code,
            data: [0; 4],
        };
        self.server.handle_icmp(now, error);
        self.drain(world)
    }

    pub(crate) fn set_policy(&mut self, world: &mut World, denied: BTreeSet<IpAddr>) -> Checked {
        let now = self.now(world);
        let deny = denied.iter().map(|ip| (*ip).into()).collect();
        self.server.set_peer_policy(
            now,
            PeerPolicy {
                deny,
                ..PeerPolicy::default()
            },
        );
        self.model.policy_changed(now, denied);
        self.drain(world)
    }

    pub(crate) fn set_redirect(&mut self, redirecting: bool) {
        let redirect = redirecting.then(|| Redirect {
            ipv4: Some(([93, 184, 216, 99], UDP_PORT).into()),
            ipv6: Some((std::net::Ipv6Addr::LOCALHOST, UDP_PORT).into()),
            domain: None,
        });
        self.server.set_redirect(redirect).unwrap();
        self.model.redirect(redirecting);
    }

    /// A stream client goes away, or the operator ends its allocation.
    pub(crate) fn end(&mut self, world: &mut World, five_tuple: FiveTuple) -> Checked {
        let now = self.now(world);
        self.model.end_by_order(five_tuple);
        match self.server.allocation(&five_tuple) {
            Some(id) if !five_tuple.transport.is_stream() => self.server.end_allocation(now, id),
            _ => self.server.handle_disconnect(now, &five_tuple),
        }
        self.drain(world)
    }

    /// Does what is due and checks that all is in order.
    pub(crate) fn settle(&mut self, world: &mut World) -> Checked {
        let now = self.now(world);
        if self
            .executor
            .stalled_until()
            .is_some_and(|until| until <= now)
        {
            self.drain(world)?;
            self.work_off(world)?;
        }
        for _ in 0..ROUNDS_MAX {
            if self.is_stalled() {
                return self.lane.check();
            }
            let due = self.server.poll_timeout().is_some_and(|due| due.at <= now);
            if !due {
                return self.check(now);
            }
            self.server.handle_timeout(now);
            self.drain(world)?;
        }
        violated!(DeadlineAhead, "{:?} at {now}", self.server.poll_timeout())
    }

    /// Packets forwarded so far.
    pub(crate) const fn forwarded(&self) -> u64 {
        self.counts.forwarded
    }

    /// Checks that nothing is left.
    pub(crate) fn check_end(&mut self, now: Timestamp) -> Checked {
        self.lane.check_empty(now)?;
        let left = (
            self.server.allocations(),
            self.server.users(),
            self.server.reservations(),
        );
        ensure!(
            left == (0, 0, 0),
            EmptyAtTheEnd,
            "allocations, users, reservations: {left:?}"
        );
        let free = self.server.free_ports();
        let all = self.ports_max;
        ensure!(
            free == all,
            PortsAccounted,
            "{free} of {all} ports are free"
        );
        ensure!(
            self.model.is_empty(now),
            EmptyAtTheEnd,
            "the model is not empty"
        );
        let entries = self.executor.entries().count();
        ensure!(
            entries == 0,
            EmptyAtTheEnd,
            "the executor has {entries} entries"
        );
        Ok(())
    }

    /// Takes outputs until there are none, or a command stalls.
    fn drain(&mut self, world: &mut World) -> Checked {
        let now = self.now(world);
        if let Some((command, outcome)) = self.executor.resume(now, &mut self.lane) {
            self.done(now, &command, outcome);
        }
        for _ in 0..OUTPUTS_MAX {
            if self.is_stalled() {
                return Ok(());
            }
            let mut buf = std::mem::take(&mut self.buf);
            let output = self.server.poll_output(&mut buf);
            self.buf = buf;
            self.tell(world, &output);
            match output {
                None => return self.model.drained(),
                Some(Output::Command(command)) => {
                    let outcome = self.executor.carry_out(now, &command, &mut self.lane);
                    if outcome != Outcome::Done && world.is_observed() {
                        world.note(&format!("{outcome:?}"));
                    }
                    self.done(now, &command, outcome);
                    self.lane.check()?;
                }
                Some(Output::Transmit(transmit)) => {
                    let FiveTuple { client, server, .. } = transmit.five_tuple;
                    let bytes = &self.buf[..transmit.len];
                    self.model.sent(&transmit.five_tuple, bytes, &self.lane)?;
                    world.send(self.host, server.0, client.0, bytes);
                }
                Some(Output::Event(event)) => self.model.event(now, &event)?,
            }
        }
        violated!(MemoryBounded, "outputs do not end")
    }

    /// Adds an output to the trace to read.
    fn tell(&self, world: &mut World, output: &Option<Output>) {
        if !world.is_observed() {
            return;
        }
        match output {
            Some(Output::Transmit(transmit)) => {
                if let Ok(message) = Message::parse(&self.buf[..transmit.len]) {
                    let code = message.get::<ErrorCode<'_>>().ok().flatten();
                    let (class, method) = (message.class(), message.method());
                    let code = code.map(|error| error.code);
                    world.note(&format!("{class:?} {method:?} {code:?}"));
                }
            }
            Some(output) => world.note(&format!("{output:?}")),
            None => {}
        }
    }

    fn done(&mut self, now: Timestamp, command: &Command, outcome: Outcome) {
        let Outcome::Failed(error) = outcome else {
            return;
        };
        let key = match &command.action {
            Action::Install(entry) => crate::mirror::key_of(entry),
            Action::Refresh { key, .. } | Action::Revoke(key) => *key,
        };
        self.model.failed(&key, &self.lane);
        self.server.handle_command_failed(now, command.id, error);
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.executor.stalled_until().is_some()
    }

    /// While a command stalls, what has ended may still be open; its entry bounds it.
    fn check_permitted(&self, now: Timestamp, five_tuple: &FiveTuple, wire_ip: IpAddr) -> Checked {
        let is_permitted = self.is_stalled() || self.model.permits(now, five_tuple, wire_ip);
        ensure!(
            is_permitted,
            PermissionBeforeForwarding,
            "{five_tuple} and {wire_ip}"
        );
        Ok(())
    }

    fn check(&mut self, now: Timestamp) -> Checked {
        let Counts {
            forwarded,
            passed,
            dropped,
        } = self.counts;
        let counted = self.lane.forwarder.counters();
        let theirs = (counted.forwarded(), counted.passed, counted.dropped_total());
        let ours = (forwarded, passed, dropped);
        let balances = theirs == ours && counted.received() == forwarded + passed + dropped;
        ensure!(
            balances,
            LaneConservation,
            "{theirs:?} counted, {ours:?} seen"
        );
        let due = self.server.poll_timeout().is_none_or(|due| due.at > now);
        ensure!(
            due,
            DeadlineAhead,
            "{:?} at {now}",
            self.server.poll_timeout()
        );
        let (lane, model) = (self.lane.version, self.model.version);
        let ends = self.lane.first_end().is_some_and(|end| end <= now);
        if !ends && (lane, model) == (self.agreed.0, self.agreed.1) {
            return Ok(());
        }
        self.model.check_lane(now, &self.lane)?;
        self.agreed = (lane, model, now);
        self.check_tables()
    }

    fn check_tables(&self) -> Checked {
        let allocations = self.server.allocations();
        let open = self.lane.allocations();
        ensure!(
            allocations == open,
            MemoryBounded,
            "{allocations} allocations, {open} open"
        );
        ensure!(
            allocations <= self.limit,
            QuotaKept,
            "{allocations} allocations"
        );
        let (free, reserved) = (self.server.free_ports(), self.server.reservations());
        let (relays, all) = (self.lane.relays(), self.ports_max);
        ensure!(
            free + reserved + relays == all,
            PortsAccounted,
            "{free} free, {reserved} reserved and {relays} open make not {all}"
        );
        let users = self.server.users();
        ensure!(
            users <= allocations + reserved,
            MemoryBounded,
            "{users} users"
        );
        Ok(())
    }
}

/// What a client wanted to send, whatever became of it.
fn payload_of(bytes: &[u8]) -> Option<Vec<u8>> {
    match bytes {
        [0x40..=0x4F, _, l0, l1, rest @ ..] => rest
            .get(..usize::from(u16::from_be_bytes([*l0, *l1])))
            .map(<[u8]>::to_vec),
        [0x00, 0x16, ..] if bytes.len() > HEADER_LEN => Message::parse(bytes)
            .ok()?
            .raw(AttributeType::DATA)
            .map(<[u8]>::to_vec),
        _ => None,
    }
}

/// How often one instant may bring new work.
const ROUNDS_MAX: usize = 16;

/// The most requests that may wait for a stalled command.
const BACKLOG_MAX: usize = 1_000;

/// The most outputs of one drain.
const OUTPUTS_MAX: usize = 100_000;
