//! What is listened on: `[[listen]]`, and what goes with it: `[tls]` and `[metrics]`.

use std::net::{IpAddr, SocketAddr};

use turnpike_types::Transport;

use super::super::{ListenConfig, MetricsConfig, TlsConfig, raw};
use super::{Refusal, refuse};

const LISTENERS_MAX: usize = 64;

pub(super) fn listeners(
    listen: Vec<raw::Listen>,
    has_certificate: bool,
) -> Result<Vec<ListenConfig>, Refusal> {
    let mut listeners = Vec::new();
    for raw in listen {
        let span = raw.address.span();
        let transport = raw.transport.get_ref().0;
        let address = raw.address.into_inner().0.on(transport);
        let listener = ListenConfig { transport, address };
        if transport == Transport::Tls && !has_certificate {
            return refuse(
                raw.transport.span(),
                "a tls listener needs a certificate: add [tls] with `certificate` and `key`, the \
                 paths of PEM files",
            );
        }
        if listeners.contains(&listener) {
            return refuse(span, format!("{transport} {address} is listened on twice"));
        }
        if let Some(other) = listeners.iter().find(|it| is_one_socket(it, &listener)) {
            let (transport, address) = (other.transport, other.address);
            return refuse(
                span,
                format!(
                    "{transport} listens on {address} already; tcp and tls need ports of their own"
                ),
            );
        }
        if address.ip().is_multicast() {
            return refuse(span, format!("{address} is a multicast address"));
        }
        if listeners.len() == LISTENERS_MAX {
            return refuse(span, format!("more than {LISTENERS_MAX} listeners"));
        }
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Whether TCP and TLS would have to share a socket.
fn is_one_socket(one: &ListenConfig, other: &ListenConfig) -> bool {
    let are_streams = one.transport.is_stream() && other.transport.is_stream();
    are_streams && one.transport != other.transport && overlap(one.address, other.address)
}

/// Whether two addresses are one, or a wildcard of its family covers the other. Port 0 is another
/// port each time.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (ip, other_ip): (IpAddr, IpAddr) = (one.ip(), other.ip());
    one.port() == other.port()
        && one.port() != 0
        && ip.is_ipv4() == other_ip.is_ipv4()
        && (ip == other_ip || ip.is_unspecified() || other_ip.is_unspecified())
}

pub(super) fn certificate(tls: raw::Tls) -> TlsConfig {
    TlsConfig {
        certificate: tls.certificate.0,
        key: tls.key.0,
    }
}

pub(super) fn metrics(
    metrics: raw::Metrics,
    listen: &[ListenConfig],
) -> Result<MetricsConfig, Refusal> {
    let span = metrics.address.span();
    let address = metrics.address.into_inner().0;
    let taken = listen
        .iter()
        .find(|it| it.transport.is_stream() && overlap(it.address, address));
    match taken {
        Some(listener) => refuse(
            span,
            format!(
                "{} listens on {} already; metrics need a port of their own",
                listener.transport, listener.address
            ),
        ),
        None => Ok(MetricsConfig { address }),
    }
}
