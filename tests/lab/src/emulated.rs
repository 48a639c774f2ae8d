//! Owns the emulated lab: a vantage point, the emulator, and the servers its scenarios ask for, in
//! namespaces joined by nothing but TUN devices.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path as FilePath;
use std::process::Command;

use crate::emulator::{Driver, Engine, Network, Path};
use crate::error::{Context, Result};
use crate::net::{Finished, Namespace, Running, Tun, ip, raise_open_files, ready};
use crate::plan::{Place, Plan};
use crate::runner::{WorkDir, write_jobs};
use crate::scenario::{Scenario, Server, Version};
use crate::targets::{Resolver, Services, Targets};
use crate::truth::Truth;
use crate::vantage;

/// The interface of the vantage point, the one to measure from.
pub const INTERFACE: &str = "lab0";
const SERVERS_INTERFACE: &str = "path0";

/// A scenario in force, with the addresses it was given.
#[derive(Clone, Debug)]
pub struct LabPath {
    /// The scenario.
    pub scenario: Scenario,
    /// What is known of it.
    pub truth: Truth,
    /// The addresses to measure, IPv4 first.
    pub targets: Vec<IpAddr>,
}

/// A network of scenarios; dropping it removes everything.
#[derive(Debug)]
pub struct EmulatedLab {
    // In the order they are to be dropped: nothing is to answer into a stopped emulator.
    _driver: Driver,
    _services: Vec<Services>,
    _resolver: Resolver,
    _servers: Vec<Namespace>,
    vantages: Vec<Namespace>,
    paths: Vec<LabPath>,
    /// What the vantage points find in the place of the machine's own.
    _etc: WorkDir,
}

impl EmulatedLab {
    /// Makes the network, with `targets` addresses of each version behind every path, and as many vantage
    /// points as the scenarios name.
    ///
    /// # Errors
    /// When addresses collide, or the kernel refuses a part of it; what was made is gone again.
    pub fn new(scenarios: Vec<Scenario>, targets: u16) -> Result<Self> {
        Self::with_vantages(scenarios, targets, 1)
    }

    /// The same with at least this many vantage points.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_vantages(scenarios: Vec<Scenario>, targets: u16, vantages: u8) -> Result<Self> {
        raise_open_files()?;
        let plan = Plan::new(&scenarios, targets)?;
        let named = scenarios.iter().flat_map(|scenario| &scenario.rules);
        let named = named.filter_map(|rule| rule.matching.vantage);
        let count = named.chain([vantages, 1]).max().unwrap_or(1);
        let etc = WorkDir::new()?;
        let (vantages, vantage_tuns) = (1..=count)
            .map(|number| vantage(number, &etc))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .unzip::<_, _, Vec<_>, Vec<_>>();

        // Scenarios with the same servers share a namespace.
        let mut members: BTreeMap<&Server, Vec<&Place>> = BTreeMap::new();
        for (scenario, place) in scenarios.iter().zip(plan.places()) {
            members.entry(&scenario.server).or_default().push(place);
        }
        let (mut servers, mut tuns, mut services) = (Vec::new(), Vec::new(), Vec::new());
        let mut networks = Vec::new();
        for (number, (server, places)) in members.iter().enumerate() {
            let (namespace, tun) = server_namespace(server, places)?;
            if server.listening {
                services.push(Services::start(&namespace, server)?);
            }
            for place in places {
                networks.extend(place.ranges().map(|(first, last)| Network {
                    first,
                    last,
                    path: place.number,
                    servers: number,
                }));
            }
            servers.push(namespace);
            tuns.push(tun);
        }
        let paths = scenarios
            .iter()
            .zip(plan.places())
            .map(|(scenario, place)| Path::new(scenario, |number| place.router(number)))
            .collect();
        vantages.iter().chain(&servers).try_for_each(ready)?;
        let driver = Driver::start(Engine::new(paths, networks), vantage_tuns, tuns)?;
        let paths: Vec<LabPath> = scenarios
            .into_iter()
            .zip(plan.places())
            .map(|(scenario, place)| LabPath {
                truth: scenario.truth(),
                targets: addresses(&scenario, place, targets),
                scenario,
            })
            .collect();
        let names = paths.iter().map(|path| (path.truth.name.clone(), path.targets.clone()));
        let resolver = Resolver::start(&vantages, Targets(names.collect()))?;
        Ok(Self {
            _driver: driver,
            _services: services,
            _resolver: resolver,
            _servers: servers,
            vantages,
            paths,
            _etc: etc,
        })
    }

    /// The paths, with their targets and what is to be expected of each.
    pub fn paths(&self) -> &[LabPath] {
        &self.paths
    }

    /// The namespace to measure from: the first vantage point's.
    pub fn vantage(&self) -> &Namespace {
        &self.vantages[0]
    }

    /// The namespaces of all vantage points.
    pub fn vantages(&self) -> &[Namespace] {
        &self.vantages
    }

    /// Writes a job for every target, one a line, as pathspider reads them. Only paths that state
    /// a port name it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_jobs(&self, file: &FilePath) -> Result<()> {
        let targets = self.paths.iter().flat_map(|path| {
            let port = path.scenario.targets.port;
            path.targets.iter().map(move |&address| (address, port, &path.truth))
        });
        write_jobs(file, targets)
    }

    /// A line for each path: its name, its first targets and what it does.
    pub fn describe(&self) -> String {
        let line = |path: &LabPath| {
            let of = |ipv6: bool| path.targets.iter().find(|target| target.is_ipv6() == ipv6);
            let shown = [of(false), of(true)].into_iter().flatten().map(ToString::to_string);
            let shown: Vec<String> = shown.collect();
            format!("{}: {} {}\n", path.truth.name, shown.join(" "), path.truth.summary)
        };
        self.paths.iter().map(line).collect()
    }

    /// Runs `command` at the vantage point and waits for it.
    ///
    /// # Errors
    /// When it cannot be started; its own failure is in the status returned.
    pub fn run(&self, command: &mut Command) -> Result<Finished> {
        self.vantage().place(command);
        Running::start(command)?.finish()
    }
}

fn addresses(scenario: &Scenario, place: &Place, count: u16) -> Vec<IpAddr> {
    let versions = &scenario.targets.versions;
    let ranges = place.ranges().filter(|(first, _)| {
        versions.contains(if first.is_ipv6() { &Version::Ipv6 } else { &Version::Ipv4 })
    });
    ranges
        .flat_map(|(first, last)| {
            (1..=count)
                .map(move |host| match first {
                    IpAddr::V4(a) => Ipv4Addr::from(u32::from(a) + u32::from(host)).into(),
                    IpAddr::V6(a) => Ipv6Addr::from(u128::from(a) + u128::from(host)).into(),
                })
                // The last address of an IPv4 network is its broadcast address.
                .take_while(move |address| *address < last)
        })
        .collect()
}

fn vantage(number: u8, etc: &WorkDir) -> Result<(Namespace, Tun)> {
    let namespace = Namespace::new("vantage")?;
    let files = [("resolv.conf", Resolver::CONFIGURATION), ("nsswitch.conf", "hosts: files dns\n")];
    let namespace = files.into_iter().try_fold(namespace, |namespace, (name, text)| {
        let file = etc.file(name);
        std::fs::write(&file, text).context(|| format!("write {}", file.display()))?;
        Ok(namespace.showing(&file, &format!("/etc/{name}")))
    })?;
    namespace.sysctls(crate::kernel::COMMON)?;
    namespace.sysctls(crate::kernel::CONNECTING)?;
    let tun = Tun::new(&namespace, INTERFACE)?;
    let (ipv4, ipv6) = vantage::addresses(number);
    ip(
        &namespace,
        &format!(
            "addr add {ipv4}/24 dev {INTERFACE}\n\
             addr add {ipv6}/64 dev {INTERFACE} nodad\n\
             route add default dev {INTERFACE}\n\
             route add ::/0 dev {INTERFACE}\n"
        ),
    )?;
    Ok((namespace, tun))
}

fn server_namespace(server: &Server, places: &[&Place]) -> Result<(Namespace, Tun)> {
    let namespace = Namespace::new("servers")?;
    namespace.sysctls(crate::kernel::COMMON)?;
    namespace.sysctls(crate::kernel::SERVING)?;
    namespace.sysctls(&server.sysctls())?;
    let tun = Tun::new(&namespace, SERVERS_INTERFACE)?;
    let mut batch = format!(
        "addr add 10.0.0.1/32 dev {SERVERS_INTERFACE}\n\
         addr add fd00::1/128 dev {SERVERS_INTERFACE} nodad\n\
         route add default dev {SERVERS_INTERFACE}\n\
         route add ::/0 dev {SERVERS_INTERFACE}\n"
    );
    for prefix in places.iter().flat_map(|place| place.prefixes()) {
        batch += &format!("route add local {prefix} dev lo\n");
    }
    ip(&namespace, &batch)?;
    Ok((namespace, tun))
}
