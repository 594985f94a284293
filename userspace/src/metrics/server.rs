//! The HTTP server, on a thread of its own: nothing that happens to it reaches a shard.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::connection::BoundedListener;
use super::{CONTENT_TYPE, Health, Readings, families, health};
use crate::shard::Snapshot;

/// What `/` says.
const INDEX: &str = "<!doctype html><html lang=\"en\"><title>Turnpike</title><h1>Turnpike</h1>\
    <ul><li><a href=\"/metrics\">/metrics</a>: numbers, in OpenMetrics text\
    <li><a href=\"/healthz\">/healthz</a>: whether every shard runs\
    <li><a href=\"/readyz\">/readyz</a>: whether it takes new clients too</ul></html>\n";

/// Serves numbers until it is dropped.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why numbers cannot be served, in words that say what to do.
#[derive(Debug)]
pub struct ServeError {
    address: SocketAddr,
    source: io::Error,
}

impl std::error::Error for ServeError {}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, source } = self;
        write!(f, "[metrics] address {address}: {source}")?;
        match source.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "; `ss -ltnp 'sport = :{}'` shows who listens there; stop it or choose another port",
                address.port()
            ),
            io::ErrorKind::AddrNotAvailable => f.write_str(
                "; it is not an address of this host, which `ip address` lists; 127.0.0.1 serves \
                 this host alone",
            ),
            io::ErrorKind::PermissionDenied => {
                f.write_str("; choose a port from 1024, or give the process CAP_NET_BIND_SERVICE")
            }
            _ => Ok(()),
        }
    }
}

/// Binds and begins to serve: `source` reads the last numbers of each shard, in their order.
///
/// # Errors
/// [`ServeError`] when the address, a thread or a descriptor cannot be had. What fails later ends a
/// scrape and nothing else.
pub fn serve<R: Into<Readings>>(
    address: SocketAddr,
    health: Arc<Health>,
    source: impl Fn() -> R + Send + Sync + 'static,
) -> Result<MetricsServer, ServeError> {
    let failed = |source| ServeError { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(failed)?;
    let (stop, stopped) = oneshot::channel();
    let router = router(health, Arc::new(move || source().into()));
    let thread = std::thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || {
            if let Err(error) = run(&runtime, listener, router, stopped) {
                tracing::error!("metrics are not served any more: {error}");
            }
        })
        .map_err(failed)?;
    Ok(MetricsServer {
        address: bound,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl MetricsServer {
    /// Where it serves, with the port as bound.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _unheard = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn run(
    runtime: &Runtime,
    listener: TcpListener,
    router: Router,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let serving = axum::serve(BoundedListener::new(listener), router);
        // It never ends by itself, and is dropped with the runtime, its connections too.
        let _task = tokio::spawn(async move { serving.await });
        // The sender dropped means the same.
        let _why = stopped.await;
        Ok(())
    })
}

type Source = dyn Fn() -> Readings + Send + Sync;

fn router(health: Arc<Health>, source: Arc<Source>) -> Router {
    let (numbers, ready) = (Arc::clone(&source), Arc::clone(&source));
    let readiness = Arc::clone(&health);
    Router::new()
        .route("/", get(async || Html(INDEX)))
        .route("/metrics", get(async move || scrape(numbers(), &health)))
        .route("/healthz", get(async move || healthz(&source().shards)))
        .route(
            "/readyz",
            get(async move || readyz(&ready().shards, &readiness)),
        )
        .fallback(async || (StatusCode::NOT_FOUND, "not here; / says what is\n"))
        .layer(map_response(close))
}

fn scrape(readings: Readings, health: &Arc<Health>) -> Response {
    match families::write(readings, health) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn healthz(shards: &[Snapshot]) -> Response {
    match health::stalled(shards) {
        None => "ok\n".into_response(),
        Some(shard) => {
            let text = format!("shard {shard} stands still\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// Whether a load balancer should send new clients here.
fn readyz(shards: &[Snapshot], health: &Health) -> Response {
    if health.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    healthz(shards)
}

/// One request a connection, as `connection` counts on.
async fn close(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}
