//! `[relay]`: where relayed transport addresses come from.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use turnpike_turn::RelayAddress;
use turnpike_types::Transport;

use super::super::at::At;
use super::super::value::{IpText, PortsText};
use super::super::{ListenConfig, RELAY_PORTS, RelayConfig, raw};
use super::{Refusal, refuse};

const RELAY_ADDRESSES_MAX: usize = 64;
/// A call between two clients of one shard takes two.
const PORTS_PER_SHARD: usize = 2;

pub(super) fn addresses(
    relay: raw::Relay,
    listen: &[ListenConfig],
    shards: Option<u16>,
) -> Result<RelayConfig, Refusal> {
    let mut addresses: Vec<RelayAddress> = Vec::new();
    for address in relay.addresses {
        let span = address.span();
        let ip = address.into_inner().0;
        if ip.is_unspecified() || ip.is_multicast() {
            return refuse(span, format!("{ip} is no address that peers could send to"));
        }
        if addresses.iter().any(|own| own.ip == ip) {
            return refuse(span, format!("{ip} is named twice"));
        }
        if addresses.len() == RELAY_ADDRESSES_MAX {
            return refuse(
                span,
                format!("more than {RELAY_ADDRESSES_MAX} relay addresses"),
            );
        }
        addresses.push(RelayAddress { ip, external: None });
    }
    for (inside, outside) in relay.external {
        set_external(&mut addresses, &inside, outside)?;
    }
    let ports = ports(relay.ports, listen, shards)?;
    Ok(RelayConfig {
        addresses,
        ports,
        legacy_channels: relay.legacy_channels,
    })
}

fn ports(
    ports: Option<At<PortsText>>,
    listen: &[ListenConfig],
    shards: Option<u16>,
) -> Result<RangeInclusive<u16>, Refusal> {
    let (span, ports) = match ports {
        Some(ports) => (Some(ports.span()), ports.into_inner().0),
        None => (None, RELAY_PORTS),
    };
    let clash = listen
        .iter()
        .filter(|listener| listener.transport == Transport::Udp)
        .find(|listener| ports.contains(&listener.address.port()));
    if let Some(listener) = clash {
        let message = format!(
            "the relayed ports hold the listener's own port {}",
            listener.address.port()
        );
        return Err((span, message));
    }
    // Without a number of shards there are as many as the ports are enough for.
    let shards = shards.unwrap_or(1);
    let needed = usize::from(shards) * PORTS_PER_SHARD;
    if ports.len() < needed {
        let message = format!(
            "{} relayed port(s) are too few: {shards} shard(s) need {PORTS_PER_SHARD} each; widen \
             the range, or set [runtime] shards lower",
            ports.len()
        );
        return Err((span, message));
    }
    Ok(ports)
}

fn set_external(
    addresses: &mut [RelayAddress],
    inside: &At<String>,
    outside: At<IpText>,
) -> Result<(), Refusal> {
    let text = inside.get_ref();
    let outside_span = outside.span();
    let outside = outside.into_inner().0;
    let Ok(ip) = text.parse::<IpAddr>() else {
        return refuse(inside.span(), format!("`{text}` is not an IP address"));
    };
    let taken = addresses.iter().any(|own| own.external == Some(outside));
    let Some(own) = addresses.iter_mut().find(|own| own.ip == ip) else {
        return refuse(
            inside.span(),
            format!("{ip} is not among [relay] addresses"),
        );
    };
    if ip.is_ipv4() != outside.is_ipv4() {
        return refuse(
            outside_span,
            format!("{outside} is not of the family of {ip}"),
        );
    }
    if taken {
        return refuse(
            outside_span,
            format!("{outside} stands for two relay addresses"),
        );
    }
    own.external = Some(outside);
    Ok(())
}
