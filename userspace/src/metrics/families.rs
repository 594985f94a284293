//! Every metric: its name, its words, and the number behind it.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use turnpike_abi::{Fate, Reason};
use turnpike_dataplane::counters::Reasons;
use turnpike_turn::server::{Procedure, Refusal};
use turnpike_types::{DropReason, Transport};

use super::exposition::{Family, Labels, Value};
use super::{Health, Readings, process};
use crate::shard::{ConnectionEnd, ConnectionRefusal, Snapshot};

use Value::{Number, Word};

/// The packets' way through this host.
const SOCKET: (&str, Value) = ("lane", Word("socket"));
const KERNEL: (&str, Value) = ("lane", Word("xdp"));
const TO_PEER: (&str, Value) = ("direction", Word("to_peer"));
const TO_CLIENT: (&str, Value) = ("direction", Word("to_client"));

/// Transports with connections.
const STREAMS: [Transport; 2] = [Transport::Tcp, Transport::Tls];

/// Writes a whole scrape.
///
/// # Errors
/// None that a `String` would have.
pub(super) fn write(readings: Readings, health: &Arc<Health>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape {
        shards: readings.shards,
        kernel: readings.kernel,
        health: Arc::clone(health),
    }));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// What one scrape shows.
#[derive(Debug)]
struct Scrape {
    shards: Vec<Snapshot>,
    kernel: Option<Reasons>,
    health: Arc<Health>,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut encoder;
        self.write_allocations(out)?;
        self.write_packets(out)?;
        self.write_kernel(out)?;
        self.write_requests(out)?;
        self.write_connections(out)?;
        self.write_shards(out)?;
        self.write_health(out)?;
        process::write(out)
    }
}

impl Scrape {
    fn write_allocations(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let family = Family::gauge("turnpike_allocations", "Live allocations");
        self.table(out, &family, "transport", |it| {
            named(Transport::ALL, Transport::name, it.allocations_by_transport)
        })?;
        let family = Family::gauge(
            "turnpike_users",
            "Users that hold allocations; one is counted on each shard where it holds some",
        );
        self.single(out, &family, |it| it.users)?;
        let family = Family::gauge("turnpike_relay_ports_free", "Relayed ports that are free");
        self.single(out, &family, |it| it.free_ports)?;
        let family = Family::counter("turnpike_allocations_created", "Allocations made");
        self.single(out, &family, |it| it.allocations_total)?;
        let family = Family::counter(
            "turnpike_allocations_expired",
            "Allocations that ended because no refresh came",
        );
        self.single(out, &family, |it| it.allocations_expired)
    }

    fn write_packets(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let packets = Family::counter(
            "turnpike_relayed_packets",
            "Packets relayed, counted when they are sent",
        );
        self.by_lane(out, &packets, |it| {
            [
                (it.to_peer_packets, it.to_client_packets),
                (it.kernel_to_peer_packets, it.kernel_to_client_packets),
            ]
        })?;
        let bytes = Family::counter("turnpike_relayed", "Payload bytes relayed").in_unit("bytes");
        self.by_lane(out, &bytes, |it| {
            [
                (it.to_peer_bytes, it.to_client_bytes),
                (it.kernel_to_peer_bytes, it.kernel_to_client_bytes),
            ]
        })?;
        let family = Family::counter(
            "turnpike_received_packets",
            "Packets that came in, from clients and peers",
        );
        self.single(out, &family, |it| it.received)?;
        let family = Family::counter(
            "turnpike_control_packets",
            "Packets that were requests or other STUN messages",
        );
        self.single(out, &family, |it| it.passed)?;
        let family = Family::counter(
            "turnpike_hopped_packets",
            "Packets that came to a shard and were handed to another",
        );
        self.single(out, &family, |it| it.hopped)?;
        let family = Family::counter("turnpike_dropped_packets", "Packets that ended here");
        self.table(out, &family, "reason", |it| {
            named(DropReason::ALL, DropReason::name, it.drops)
        })
    }

    fn write_requests(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let family = Family::counter("turnpike_requests_granted", "Requests granted");
        self.table(out, &family, "procedure", |it| {
            named(Procedure::ALL, Procedure::name, it.granted)
        })?;
        let family = Family::counter(
            "turnpike_requests_refused",
            "Requests refused, by the error code that said so",
        );
        family.write(out, |samples| {
            for (index, shard) in numbered(&self.shards) {
                for (procedure, row) in Procedure::ALL.into_iter().zip(shard.refused) {
                    for (refusal, count) in Refusal::ALL.into_iter().zip(row) {
                        let procedure = ("procedure", Word(procedure.name()));
                        let code = ("code", Number(refusal.code()));
                        samples.add(&[("shard", index), procedure, code], count)?;
                    }
                }
            }
            Ok(())
        })?;
        let family = Family::counter("turnpike_replies_lost", "Replies that could not be sent");
        self.single(out, &family, |it| it.replies_lost)?;
        let family = Family::counter(
            "turnpike_commands_failed",
            "Forwarding commands that could not be carried out",
        );
        self.single(out, &family, |it| it.commands_failed)
    }

    fn write_connections(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let family = Family::gauge("turnpike_connections", "Open client connections");
        self.table(out, &family, "transport", |it| streams(it.connections))?;
        let family = Family::counter(
            "turnpike_connections_accepted",
            "Client connections taken in",
        );
        self.table(out, &family, "transport", |it| {
            streams(it.connections_accepted)
        })?;
        let family = Family::counter(
            "turnpike_connections_refused",
            "Client connections closed as soon as they came",
        );
        self.table(out, &family, "reason", |it| {
            named(
                ConnectionRefusal::ALL,
                ConnectionRefusal::name,
                it.connections_refused,
            )
        })?;
        let family = Family::counter("turnpike_connections_closed", "Client connections ended");
        self.table(out, &family, "reason", |it| {
            named(
                ConnectionEnd::ALL,
                ConnectionEnd::name,
                it.connections_closed,
            )
        })?;
        let family = Family::counter(
            "turnpike_connections_moved",
            "Client connections handed to the shard that holds their reserved port",
        );
        self.single(out, &family, |it| it.connections_moved)?;
        let family = Family::counter(
            "turnpike_connection_write_queue_drops",
            "Relayed packets dropped because their client reads too slowly",
        );
        self.single(out, &family, |it| it.write_queue_dropped)
    }

    fn write_shards(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let family = Family::counter(
            "turnpike_shard_busy",
            "Time of its core that the shard used; at one second a second it is saturated",
        );
        family.in_unit("seconds").write(out, |samples| {
            for (index, shard) in numbered(&self.shards) {
                samples.add_nanos(&[("shard", index)], shard.busy_nanos)?;
            }
            Ok(())
        })?;
        let family = Family::counter(
            "turnpike_shard_turns",
            "Turns of the shard's loop: few with many packets each when it is busy",
        );
        self.single(out, &family, |it| it.turns)
    }

    fn write_health(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let version = ("version", Word(env!("CARGO_PKG_VERSION")));
        let help = "The version that runs";
        out.encode_descriptor("turnpike_build", help, None, MetricType::Info)?
            .encode_info(&Labels(&[version]))?;
        let family = Family::counter(
            "turnpike_log_lines_lost",
            "Log lines left out: too many a second, or nobody read them",
        );
        let lost = self.health.log_lines_lost();
        family.write(out, |samples| samples.add(&[], lost))?;
        let family = Family::gauge(
            "turnpike_draining",
            "Whether new allocations are refused because the relay is about to end",
        );
        let draining = u64::from(self.health.is_draining());
        family.write(out, |samples| samples.add(&[], draining))?;
        if let Some(up) = self.health.database_up() {
            let family = Family::gauge(
                "turnpike_database_up",
                "Whether the database of users answers",
            );
            family.write(out, |samples| samples.add(&[], up))?;
        }
        if let Some(expiry) = self.health.certificate_expiry() {
            let family = Family::gauge(
                "turnpike_certificate_expiry_timestamp",
                "When the TLS certificate ends",
            );
            family
                .in_unit("seconds")
                .write(out, |samples| samples.add(&[], expiry))?;
        }
        Ok(())
    }

    /// A number a shard.
    fn single(
        &self,
        out: &mut DescriptorEncoder<'_>,
        family: &Family,
        number: impl Fn(&Snapshot) -> u64,
    ) -> fmt::Result {
        family.write(out, |samples| {
            for (index, shard) in numbered(&self.shards) {
                samples.add(&[("shard", index)], number(shard))?;
            }
            Ok(())
        })
    }

    /// A number a shard and word.
    fn table<I: IntoIterator<Item = (&'static str, u64)>>(
        &self,
        out: &mut DescriptorEncoder<'_>,
        family: &Family,
        label: &'static str,
        rows: impl Fn(&Snapshot) -> I,
    ) -> fmt::Result {
        family.write(out, |samples| {
            for (index, shard) in numbered(&self.shards) {
                for (word, number) in rows(shard) {
                    samples.add(&[("shard", index), (label, Word(word))], number)?;
                }
            }
            Ok(())
        })
    }

    /// A number a shard, direction and lane: to peers and to clients through sockets; then in the
    /// kernel, where it relays.
    fn by_lane(
        &self,
        out: &mut DescriptorEncoder<'_>,
        family: &Family,
        numbers: impl Fn(&Snapshot) -> [(u64, u64); 2],
    ) -> fmt::Result {
        let lanes = if self.kernel.is_some() { 2 } else { 1 };
        family.write(out, |samples| {
            for (index, shard) in numbered(&self.shards) {
                let rows = [SOCKET, KERNEL].into_iter().zip(numbers(shard)).take(lanes);
                for (lane, (to_peer, to_client)) in rows {
                    samples.add(&[("shard", index), TO_PEER, lane], to_peer)?;
                    samples.add(&[("shard", index), TO_CLIENT, lane], to_client)?;
                }
            }
            Ok(())
        })
    }

    /// What the programs in the kernel did with the packets that they saw.
    fn write_kernel(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(reasons) = &self.kernel else {
            return Ok(());
        };
        let family = Family::counter(
            "turnpike_xdp_packets",
            "Packets that the XDP programs saw, by what became of them and why",
        );
        family.write(out, |samples| {
            for reason in Reason::ALL {
                let labels = [
                    ("fate", Word(fate(reason.fate()))),
                    ("reason", Word(reason.name())),
                ];
                samples.add(&labels, reasons.of(*reason))?;
            }
            Ok(())
        })?;
        let family = Family::counter(
            "turnpike_xdp_entries_left_out",
            "Permissions and channels that found no room in the XDP programs' tables",
        );
        self.single(out, &family, |it| it.left_out_of_kernel)
    }
}

const fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Forwarded => "forwarded",
        Fate::Passed => "passed",
        Fate::Dropped => "dropped",
    }
}

fn numbered(shards: &[Snapshot]) -> impl Iterator<Item = (Value, &Snapshot)> {
    (0..).map(Number).zip(shards)
}

/// An enumeration's words with the numbers of a table that it indexes.
fn named<T, const N: usize>(
    all: [T; N],
    name: impl Fn(T) -> &'static str,
    table: [u64; N],
) -> impl Iterator<Item = (&'static str, u64)> {
    all.into_iter().map(name).zip(table)
}

fn streams(table: [u64; Transport::ALL.len()]) -> impl Iterator<Item = (&'static str, u64)> {
    let count = move |it: Transport| table.get(it as usize).copied().unwrap_or(0);
    STREAMS.into_iter().map(move |it| (it.name(), count(it)))
}
