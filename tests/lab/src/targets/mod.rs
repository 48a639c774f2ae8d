//! Owns what answers at the far end of a path: real servers on the kernel's own stack.
//!
//! | port | service |
//! |---|---|
//! | 7 | plain TCP, which sends back what it gets |
//! | 53 | DNS over UDP and TCP, which knows every name |
//! | 80 | HTTP/1.1, which changes to HTTP/2 when asked if the scenario says so |
//! | 443 | HTTPS, self-signed, ALPN as the scenario says; HTTP/3 over UDP |

mod dns;
mod fast_http;
mod quic;
mod sockets;
mod web;

use std::sync::Arc;
use std::time::Duration;

use socket2::Socket;
use tokio::net::UdpSocket;
use tokio::runtime::{Builder, Runtime};

use crate::error::{Context, Result};
use crate::net::Namespace;
use crate::scenario::Server;

use dns::Zone;

pub use dns::Targets;
pub use fast_http::FastHttp;

/// The name of the thread of all services but fast HTTP.
const SERVICES: &str = "services";
const RESOLVER: &str = "resolver";
/// The names of the threads that serve.
pub const THREADS: [&str; 2] = [fast_http::THREAD, SERVICES];

/// All services of one namespace; dropping it stops them.
#[derive(Debug)]
pub struct Services {
    _http: Option<FastHttp>,
    runtime: Option<Runtime>,
}

impl Services {
    /// Starts them at every local address of `namespace`, as `server` says.
    ///
    /// # Errors
    /// When a port is taken or a thread cannot be made.
    pub fn start(namespace: &Namespace, server: &Server) -> Result<Self> {
        let mut services = Self::beside_http(namespace, server)?;
        let slow = slowness(server);
        if slow.is_zero() && !server.h2c {
            services._http = Some(FastHttp::start(namespace, 80, 1, server.mptcp)?);
        } else if let Some(runtime) = &services.runtime {
            let _inside = runtime.enter();
            let listener = sockets::asynchronous(listener(namespace, 80, server)?)?;
            runtime.spawn(web::http(listener, server.h2c, slow));
        }
        Ok(services)
    }

    /// Starts all but plain HTTP, where somebody else serves that.
    ///
    /// # Errors
    /// When a port is taken or a thread cannot be made.
    pub fn beside_http(namespace: &Namespace, server: &Server) -> Result<Self> {
        let slow = slowness(server);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(SERVICES)
            .enable_all()
            .build()
            .context(|| "start the servers' thread")?;
        // A socket stays in the namespace it was made in, so the threads that serve it need not
        // be there.
        let _inside = runtime.enter();
        let tcp = |port| sockets::asynchronous(listener(namespace, port, server)?);
        let tls = web::tls(true)?;
        let acceptor = if server.tls13 {
            web::acceptor(&tls, &server.alpn)
        } else {
            web::acceptor(&web::tls(false)?, &server.alpn)
        };
        runtime.spawn(web::https(tcp(443)?, acceptor, server.quic.advertised, slow));
        runtime.spawn(web::echo(tcp(7)?, slow));
        runtime.spawn(dns::over_tcp(tcp(53)?, slow));
        for ipv6 in [false, true] {
            let socket = namespace
                .enter(|| sockets::datagrams(53, ipv6))?
                .context(|| format!("serve DNS in {}", namespace.label()))?;
            let socket = UdpSocket::from_std(socket.into())
                .context(|| "hand the DNS socket to its thread")?;
            runtime.spawn(dns::over_udp(socket, slow, Zone::Documentation));
            if server.quic.listening {
                let socket = namespace
                    .enter(|| sockets::datagrams(443, ipv6))?
                    .context(|| format!("serve QUIC in {}", namespace.label()))?;
                quic::serve(socket, tls.clone(), &server.quic, slow)?;
            }
        }
        Ok(Self { _http: None, runtime: Some(runtime) })
    }
}

/// The resolver of a vantage point, on its loopback; dropping it stops it.
#[derive(Debug)]
pub struct Resolver {
    runtime: Option<Runtime>,
}

impl Resolver {
    /// What `/etc/resolv.conf` says where it is asked.
    pub const CONFIGURATION: &str = "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n";

    /// Starts one at each of these vantage points, where all names are the targets'.
    ///
    /// # Errors
    /// When a port is taken or the thread cannot be made.
    pub fn start(vantages: &[Namespace], targets: Targets) -> Result<Self> {
        let zone = Zone::Lab(Arc::new(targets));
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(RESOLVER)
            .enable_all()
            .build()
            .context(|| "start the resolver's thread")?;
        let _inside = runtime.enter();
        for vantage in vantages {
            let socket = vantage
                .enter(|| sockets::datagrams(53, false))?
                .context(|| format!("resolve names in {}", vantage.label()))?;
            let socket = UdpSocket::from_std(socket.into())
                .context(|| "hand the resolver's socket to its thread")?;
            runtime.spawn(dns::over_udp(socket, Duration::ZERO, zone.clone()));
        }
        Ok(Self { runtime: Some(runtime) })
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What the servers of these settings need and this kernel has not got, if anything.
pub fn lacks(server: &Server) -> Option<&'static str> {
    (server.mptcp && !sockets::has_mptcp()).then_some("this kernel has no Multipath TCP")
}

fn slowness(server: &Server) -> Duration {
    Duration::from_millis(server.slow_millis.into())
}

fn listener(namespace: &Namespace, port: u16, server: &Server) -> Result<Socket> {
    namespace
        .enter(|| sockets::listen(port, server.mptcp))?
        .context(|| format!("listen on port {port} in {}", namespace.label()))
}

impl Drop for Services {
    fn drop(&mut self) {
        // Connections still open are not waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
