//! `[limits]`: how much of everything, and that none of it refuses everything.

use std::ops::RangeInclusive;
use std::time::Duration;

use turnpike_types::RateLimit;

use super::super::at::At;
use super::super::{LimitsConfig, raw};
use super::{Refusal, duration, refuse, size};

const LIFETIME: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(365 * 86_400);
const HANDSHAKE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(300);
const IDLE_TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// The longest datagram, in an indication, needs 65,556 bytes: a smaller queue would never carry it.
const WRITE_QUEUE: RangeInclusive<u64> = 66 << 10..=64 << 20;
/// Channel numbers are 0x4000 to 0x4FFF (RFC 8656 section 12).
const CHANNELS_MAX: u32 = 4_096;

const NO_LIMIT: &str = "0 would refuse everything; remove the key for the default";

pub(super) fn limits(limits: raw::Limits) -> Result<LimitsConfig, Refusal> {
    Ok(LimitsConfig {
        allocations: positive(limits.allocations)?,
        allocations_per_user: positive(limits.allocations_per_user)?,
        permissions_per_allocation: positive(limits.permissions_per_allocation)?,
        channels_per_allocation: channels(limits.channels_per_allocation)?,
        lifetime: lifetime(limits.lifetime)?,
        lifetime_max: lifetime(limits.lifetime_max)?,
        allocation_rate: RateLimit {
            packets_per_second: positive(limits.allocation_packets_per_second)?,
            bytes_per_second: size(
                limits.allocation_bytes_per_second,
                &(1..=u64::MAX),
                NO_LIMIT,
            )?,
        },
        user_rate: RateLimit {
            packets_per_second: positive(limits.user_packets_per_second)?,
            bytes_per_second: size(limits.user_bytes_per_second, &(1..=u64::MAX), NO_LIMIT)?,
        },
        connections: positive(limits.connections)?,
        connections_per_address: positive(limits.connections_per_address)?,
        handshake_timeout: duration(
            limits.handshake_timeout,
            &HANDSHAKE_TIMEOUT,
            "a handshake may take between 1s and 5m",
        )?,
        idle_timeout: duration(
            limits.idle_timeout,
            &IDLE_TIMEOUT,
            "a connection without an allocation lives between 1s and 24h",
        )?,
        write_queue: size(
            limits.write_queue,
            &WRITE_QUEUE,
            "a write queue holds between 66 KiB and 64 MiB",
        )?,
    })
}

fn lifetime(value: Option<At<super::DurationText>>) -> Result<Option<Duration>, Refusal> {
    let rule = "an allocation lives between 1s and 365d at a time";
    duration(value, &LIFETIME, rule)
}

fn channels(limit: Option<At<u32>>) -> Result<Option<u32>, Refusal> {
    match positive_at(limit)? {
        Some(limit) if *limit.get_ref() > CHANNELS_MAX => refuse(
            limit.span(),
            format!("there are {CHANNELS_MAX} channel numbers"),
        ),
        other => Ok(other.map(At::into_inner)),
    }
}

pub(super) fn positive(limit: Option<At<u32>>) -> Result<Option<u32>, Refusal> {
    Ok(positive_at(limit)?.map(At::into_inner))
}

fn positive_at(limit: Option<At<u32>>) -> Result<Option<At<u32>>, Refusal> {
    match limit {
        Some(limit) if *limit.get_ref() == 0 => refuse(limit.span(), NO_LIMIT),
        other => Ok(other),
    }
}
