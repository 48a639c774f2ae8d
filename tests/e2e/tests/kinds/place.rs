//! A network namespace with servers in it, and the program beside them, on the loopback interface.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pathspider_e2e::{Ended, FlowResult, Program, built, skipped, temp_dir};
use pathspider_lab::net::Namespace;
use pathspider_lab::scenario::Server;
use pathspider_lab::targets::Services;

/// The namespace, gone when dropped.
pub(super) struct Place {
    pub(super) namespace: Namespace,
    plugins: std::path::PathBuf,
    _services: Services,
}

/// A namespace in which the lab's servers listen. `None`, after saying so, where the privilege for
/// it is missing; in CI that is a failure.
pub(super) fn place(test: &str, server: &Server) -> Option<Place> {
    match pathspider_lab::net::prepare().and_then(|()| Namespace::new(test)) {
        Ok(namespace) => {
            let plugins = temp_dir(test);
            std::fs::copy(built("libconnector.so"), plugins.join("connector.so")).unwrap();
            // Client and server (1, 2) may use Fast Open, and every listener that begins now does
            // (1,024).
            namespace.sysctl("net.ipv4.tcp_fastopen", "1027").unwrap();
            let services = Services::start(&namespace, server).unwrap();
            Some(Place { namespace, plugins, _services: services })
        }
        Err(error) => {
            skipped(error);
            None
        }
    }
}

impl Place {
    /// Runs a command in the namespace, with this input.
    pub(super) fn run(&self, command: Command, input: &str) -> Ended {
        pathspider_e2e::run(&self.namespace, command, input)
    }

    /// Runs a shell script in the namespace, which must succeed.
    pub(super) fn script(&self, script: &str) -> String {
        let mut shell = Command::new("sh");
        shell.args(["-ec", script]);
        let ended = self.run(shell, "");
        ended.expect(0, &[]);
        ended.stdout
    }

    /// Measures with the plugin `connector`: arguments of `measure`, and of the plugin.
    pub(super) fn connect(&self, measure: &[&str], plugin: &[&str], input: &str) -> Ended {
        let folder = self.plugins.to_str().unwrap();
        let mut all = vec!["measure", "-i", "lo", "--output-flows", "--allow-special"];
        all.extend(["--plugin-dir", folder]);
        all.extend(measure);
        all.push("connector");
        all.extend(plugin);
        self.run(Program::command(&all), input)
    }

    /// The only flow result of a connection of this kind to this port, which has the time that a
    /// busy machine takes, unless told otherwise.
    pub(super) fn result(&self, kind: &str, port: u16, plugin: &[&str]) -> FlowResult {
        let mut arguments = [&["--connect", kind], plugin].concat();
        if !plugin.contains(&"--timeout") {
            arguments.extend(["--timeout", "60"]);
        }
        let input = format!("{{\"dip\":\"127.0.0.1\",\"dp\":{port},\"domain\":\"lab.example\"}}");
        flow(&self.connect(&[], &arguments, &input))
    }

    /// A TCP server that does this with every connection; its port.
    pub(super) fn tcp(&self, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
        self.listen("127.0.0.1:0", serve)
    }

    /// The same at every address of the namespace, of both IP versions.
    pub(super) fn any_tcp(&self, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
        self.listen("[::]:0", serve)
    }

    fn listen(&self, at: &str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
        let listener = self.namespace.enter(|| TcpListener::bind(at)).unwrap().unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        port
    }

    /// A TCP server that waits for a request, sends these octets, and closes after a while.
    pub(super) fn says(&self, answer: impl AsRef<[u8]> + Send + Sync + 'static) -> u16 {
        self.tcp(move |mut stream| {
            request(&mut stream);
            let _ = stream.write_all(answer.as_ref());
        })
    }

    /// A UDP server that makes its answer from the query; its port.
    pub(super) fn udp(&self, answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> u16 {
        let socket = self.namespace.enter(|| UdpSocket::bind("127.0.0.1:0")).unwrap().unwrap();
        let port = socket.local_addr().unwrap().port();
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&answer(&buffer[..length]), client);
            }
        });
        port
    }

    /// A UDP server at each of these addresses, one port for all, which does this with every query:
    /// it is given the socket that was asked, one at another port, the query and who sent it.
    pub(super) fn each_udp(
        &self,
        addresses: &[IpAddr],
        serve: impl Fn([&UdpSocket; 2], &[u8], SocketAddr) + Send + Sync + 'static,
    ) -> u16 {
        let bind = |address: IpAddr, port: u16| {
            self.namespace.enter(|| UdpSocket::bind((address, port))).unwrap().unwrap()
        };
        let serve = Arc::new(serve);
        let mut port = 0;
        for &address in addresses {
            let (socket, other) = (bind(address, port), bind(address, 0));
            port = socket.local_addr().unwrap().port();
            let serve = Arc::clone(&serve);
            thread::spawn(move || {
                let mut buffer = [0; 2048];
                while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                    serve([&socket, &other], &buffer[..length], client);
                }
            });
        }
        port
    }
}

/// The only flow result of a run.
pub(super) fn flow(ended: &Ended) -> FlowResult {
    ended.expect(0, &[]);
    let record = ended.records().remove(0);
    record.flow_results.unwrap_or_else(|| panic!("{}", ended.stdout)).remove(0)
}

/// What a client sends first.
pub(super) fn request(stream: &mut TcpStream) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let length = stream.read(&mut buffer).unwrap_or(0);
    buffer.truncate(length);
    buffer
}

/// Longer than any time-out in these tests.
pub(super) fn forever() {
    thread::sleep(Duration::from_secs(30));
}
