//! Owns the lab on kernel forwarding: vantage – router – targets, three namespaces joined by veth,
//! with faults made by nftables in the router. It is the fast lab, for thousands of targets at
//! tens of thousands of connections a second; what nftables cannot do, the emulator does.

mod faults;
mod groups;
mod link;

use std::process::Command;

use crate::error::Result;
use crate::net::{Finished, Namespace, Running, ip, nft, raise_open_files};
use crate::scenario;
use crate::targets::{FastHttp, Services};
use link::{Link, wait_ready};

pub use faults::Fault;
pub use groups::{Group, Server, standard_groups};

/// The interface of the vantage point, the one to measure from.
pub const INTERFACE: &str = "vantage0";

const SERVER_THREADS: usize = 2;

/// Settings of every namespace that forwards or answers at thousands of addresses.
pub(crate) const COMMON: &[(&str, &str)] = &[
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv6.conf.all.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_ra", "0"),
    // A lab that holds back errors would hide what a path does.
    ("net.ipv4.icmp_ratelimit", "0"),
    ("net.ipv6.icmp.ratelimit", "0"),
    // What one connection taught of a path must not shape the next, nor cost time to remember.
    ("net.ipv4.tcp_no_metrics_save", "1"),
];

const FORWARDING: &[(&str, &str)] =
    &[("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1")];

/// A server whose queue of half-open connections overflows would answer with SYN cookies, which
/// cannot carry every option.
pub(crate) const SERVING: &[(&str, &str)] = &[
    ("net.core.somaxconn", "65535"),
    ("net.ipv4.tcp_max_syn_backlog", "65535"),
    ("net.ipv4.tcp_max_tw_buckets", "1000000"),
    // UDP answers come from addresses that only a route makes local.
    ("net.ipv6.ip_nonlocal_bind", "1"),
];

pub(crate) const CONNECTING: &[(&str, &str)] = &[
    ("net.ipv4.ip_local_port_range", "1024 65535"),
    ("net.ipv4.tcp_max_tw_buckets", "1000000"),
    // Linux asks for AccECN from 7.0 on.
    ("net.ipv4.tcp_ecn", "2"),
];

/// A network of groups of targets; dropping it removes everything.
#[derive(Debug)]
pub struct KernelLab {
    vantage: Namespace,
    groups: Vec<Group>,
    router: Namespace,
    servers: Vec<(Namespace, FastHttp)>,
    services: Vec<Services>,
}

impl KernelLab {
    /// Makes the network and starts its servers.
    ///
    /// # Errors
    /// When the kernel, `ip` or `nft` refuses a part of it; what was made is gone again then.
    pub fn new(groups: Vec<Group>) -> Result<Self> {
        raise_open_files()?;
        let vantage = Namespace::new("vantage")?;
        let router = Namespace::new("router")?;
        vantage.sysctls(COMMON)?;
        vantage.sysctls(CONNECTING)?;
        router.sysctls(COMMON)?;
        router.sysctls(FORWARDING)?;
        let link = Link { number: 0, near: &vantage, near_name: INTERFACE, router: &router };
        link.make()?;

        let (mut servers, mut ready) = (Vec::new(), Vec::new());
        for (number, server) in (1..).zip(Server::ALL) {
            let members: Vec<&Group> = groups.iter().filter(|g| g.server == server).collect();
            if members.is_empty() {
                continue;
            }
            let namespace = Namespace::new(server.label())?;
            namespace.sysctls(COMMON)?;
            namespace.sysctls(SERVING)?;
            namespace.sysctls(server.sysctls())?;
            let link = Link { number, near: &namespace, near_name: "targets0", router: &router };
            link.make()?;
            let (mut local, mut towards) = (String::new(), String::new());
            for prefix in members.iter().flat_map(|group| group.prefixes()) {
                local += &format!("route add local {prefix} dev lo\n");
                let [via4, via6] = link.near_addresses();
                let via = if prefix.contains(':') { via6 } else { via4 };
                towards += &format!("route add {prefix} via {via}\n");
            }
            ip(&namespace, &local)?;
            ip(&router, &towards)?;
            let http = FastHttp::start(&namespace, groups::PORT, SERVER_THREADS, false)?;
            ready.extend(link.near_addresses());
            servers.push((namespace, http));
        }
        nft(&router, &faults::ruleset(&groups))?;
        wait_ready(&vantage, ready, groups::PORT)?;
        Ok(Self { vantage, groups, router, servers, services: Vec::new() })
    }

    /// Lets the targets serve HTTPS, DNS and plain TCP too, at their usual ports.
    ///
    /// # Errors
    /// When a thread or a certificate cannot be made.
    pub fn serve_all(&mut self) -> Result<()> {
        for (namespace, _) in &self.servers {
            self.services.push(Services::beside_http(namespace, &scenario::Server::default())?);
        }
        Ok(())
    }

    /// The groups of targets, with their addresses and what is to be expected of each.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The namespace to measure from.
    pub fn vantage(&self) -> &Namespace {
        &self.vantage
    }

    /// The namespace in which the paths are.
    pub fn router(&self) -> &Namespace {
        &self.router
    }

    /// Where the targets are, a namespace for each kind of server.
    pub fn servers(&self) -> impl Iterator<Item = &Namespace> {
        self.servers.iter().map(|(namespace, _)| namespace)
    }

    /// Runs `command` at the vantage point and waits for it.
    ///
    /// # Errors
    /// When it cannot be started; its own failure is in the status returned.
    pub fn run(&self, command: &mut Command) -> Result<Finished> {
        self.vantage.place(command);
        Running::start(command)?.finish()
    }
}
