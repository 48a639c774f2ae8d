//! Owns the bare GET request by HTTP/3: a handshake of QUIC, a request, its whole response, and a close.
//! It is made with the library that pathspider and the server have too, in the way that it is meant to be
//! used: one endpoint and one socket for each version of IP, on one thread.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use h3::error::Code;
use hyper::{Request, Uri};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, TransportConfig, VarInt};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::https::client_config;
use super::{CONNECTIONS, LoopResult, own_time};
use crate::error::{Context, Error, Result};

/// What is offered by ALPN.
const ALPN: &[u8] = b"h3";
/// How long one page may take: as long as pathspider gives it, for one machine makes both ends of all
/// handshakes.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is asked of all.
const NAME: &str = "lab.example";

/// Asks every address for its page so many times, one after the other.
///
/// # Errors
/// When there is no endpoint; a connection that fails is counted instead.
pub(super) fn run(addresses: &[SocketAddr], in_flight: usize) -> Result<LoopResult> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context(|| "start the bare loop")?;
    let (started, had) = (Instant::now(), own_time()?);
    let (done, failed) = runtime.block_on(all(addresses, in_flight))?;
    let (elapsed, cpu) = (started.elapsed(), own_time()?.saturating_sub(had));
    Ok(LoopResult { elapsed, cpu, done, failed })
}

async fn all(addresses: &[SocketAddr], in_flight: usize) -> Result<(usize, usize)> {
    let config = config()?;
    let endpoint = |local: SocketAddr| -> Result<Endpoint> {
        let mut endpoint = Endpoint::client(local).context(|| "make a socket for QUIC")?;
        endpoint.set_default_client_config(config.clone());
        Ok(endpoint)
    };
    let v4 = endpoint((Ipv4Addr::UNSPECIFIED, 0).into())?;
    let v6 = endpoint((Ipv6Addr::UNSPECIFIED, 0).into())?;
    let mut waiting: VecDeque<SocketAddr> = addresses.iter().copied().collect();
    let mut under_way = JoinSet::new();
    let (mut done, mut failed) = (0, 0);
    loop {
        while under_way.len() < in_flight
            && let Some(address) = waiting.pop_front()
        {
            let endpoint = if address.is_ipv4() { v4.clone() } else { v6.clone() };
            under_way.spawn(ask_often(endpoint, address));
        }
        let Some(ended) = under_way.join_next().await else { return Ok((done, failed)) };
        let pages = ended.unwrap_or(0);
        done += pages;
        failed += usize::from(CONNECTIONS) - pages;
    }
}

/// How many pages came.
async fn ask_often(endpoint: Endpoint, address: SocketAddr) -> usize {
    let mut pages = 0;
    for _ in 0..CONNECTIONS {
        let page = timeout(PATIENCE, ask(&endpoint, address)).await;
        pages += usize::from(matches!(page, Ok(Some(()))));
    }
    pages
}

/// Asks once; `None` where something failed.
async fn ask(endpoint: &Endpoint, address: SocketAddr) -> Option<()> {
    let connection = endpoint.connect(address, NAME).ok()?.await.ok()?;
    let closing = connection.clone();
    let (mut driver, mut requests) =
        h3::client::new(h3_quinn::Connection::new(connection)).await.ok()?;
    let mut stream = requests.send_request(request()?).await.ok()?;
    stream.finish().await.ok()?;
    let response = async {
        stream.recv_response().await.ok()?;
        while stream.recv_data().await.ok()?.is_some() {}
        Some(())
    };
    let came = tokio::select! {
        came = response => came,
        _ = driver.wait_idle() => None,
    };
    let code = u32::try_from(Code::H3_NO_ERROR.value()).ok()?;
    closing.close(VarInt::from_u32(code), b"");
    came
}

fn request() -> Option<Request<()>> {
    let uri = Uri::builder().scheme("https").authority(NAME).path_and_query("/").build().ok()?;
    Request::get(uri).body(()).ok()
}

fn config() -> Result<ClientConfig> {
    let failed =
        |error: &dyn std::fmt::Display| Error::invalid("the bare loop's QUIC", error.to_string());
    let mut tls = client_config()?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let tls = QuicClientConfig::try_from(tls).map_err(|error| failed(&error))?;
    let mut config = ClientConfig::new(Arc::new(tls));
    let mut transport = TransportConfig::default();
    // As pathspider does: larger packets would be another path's.
    transport.mtu_discovery_config(None);
    config.transport_config(Arc::new(transport));
    Ok(config)
}
