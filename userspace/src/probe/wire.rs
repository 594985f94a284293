//! What carries a client's messages: UDP, TCP, or TLS over TCP, on blocking sockets with timeouts.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use turnpike_types::ServerAddr;

/// TLS over TCP, past its handshake.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A way to the server.
pub trait Wire {
    /// Sends a message, all of it.
    ///
    /// # Errors
    /// The kernel's, and those of TLS.
    fn send(&mut self, message: &[u8]) -> io::Result<()>;

    /// Waits at most so long for one datagram, or for more of the stream, and says how long it is;
    /// `None` when nothing came.
    ///
    /// # Errors
    /// The kernel's, those of TLS, and `UnexpectedEof` when the server has hung up.
    fn receive(&mut self, buffer: &mut [u8], at_most: Duration) -> io::Result<Option<usize>>;
}

/// Opens UDP towards a server; nothing is sent.
///
/// # Errors
/// The kernel's.
pub fn udp(server: ServerAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match server.ip() {
        IpAddr::V4(_) => ([0; 4], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server.0)?;
    Ok(socket)
}

/// Connects to a server; `patience` is also how long a message may take to be sent.
///
/// # Errors
/// The kernel's.
pub fn tcp(server: ServerAddr, patience: Duration) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&server.0, patience)?;
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(patience))?;
    Ok(socket)
}

/// Connects to a server and shakes hands; each message of the handshake may take `patience`.
///
/// # Errors
/// The kernel's, and those of TLS: a certificate that is not trusted, among others.
pub fn tls(
    server: ServerAddr,
    trust: &Arc<ClientConfig>,
    patience: Duration,
) -> io::Result<TlsStream> {
    let mut socket = tcp(server, patience)?;
    socket.set_read_timeout(Some(patience))?;
    let mut connection =
        ClientConnection::new(Arc::clone(trust), server.ip().into()).map_err(io::Error::other)?;
    connection.complete_io(&mut socket)?;
    Ok(StreamOwned::new(connection, socket))
}

impl Wire for UdpSocket {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        Self::send(self, message).map(drop)
    }

    fn receive(&mut self, buffer: &mut [u8], at_most: Duration) -> io::Result<Option<usize>> {
        self.set_read_timeout(Some(at_most))?;
        match self.recv(buffer) {
            // The server's host answers that nobody listens: another try may find it up.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
            result => none_in_time(result),
        }
    }
}

impl Wire for TcpStream {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.write_all(message)
    }

    fn receive(&mut self, buffer: &mut [u8], at_most: Duration) -> io::Result<Option<usize>> {
        self.set_read_timeout(Some(at_most))?;
        more(self.read(buffer))
    }
}

impl Wire for TlsStream {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.write_all(message)?;
        self.flush()
    }

    fn receive(&mut self, buffer: &mut [u8], at_most: Duration) -> io::Result<Option<usize>> {
        self.sock.set_read_timeout(Some(at_most))?;
        more(self.read(buffer))
    }
}

/// A stream's read of nothing is its end.
fn more(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        result => none_in_time(result),
    }
}

fn none_in_time(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(len) => Ok(Some(len)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
