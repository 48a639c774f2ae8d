"""What a measurement in Python is made of. README.md is the guide.

pathspider has this module itself: a plugin needs no copy of it. The copy in the template is for tests
that run without pathspider.

A plugin is a file with one class that inherits from `Measurement`, and a class for each observer chain
of its own, which inherits from `Chain`. Their functions may raise any exception. One of `__init__` ends
the run; one of `connect`, `as_meant` or `combine` is the job's error; one of a chain is an error of the
flow.
"""


class Measurement:
    """A measurement: which connections to make to each target, and what to conclude."""

    name = ""  # on the command line, and the first word of each condition
    version = "0.1.0"
    description = ""
    contact = ""  # whom to ask about it: a mail address or a URL
    port = 80  # of targets that name none
    forges = False  # whether `connect` gives `packets`
    blocks = False  # whether `connect` may wait: it is called on several threads
    takes_names = False  # whether a target may have a name and no address
    options = []  # flag(), integer(), number(), text(), choice(), timeout()
    conditions = []  # good(), absent(), impaired(), unknown(), connectivity()
    configurations = []  # labels, or data(label); the first is the baseline
    chains = []  # names of the chains whose fields it reads

    def __init__(self, options):
        """Begins a run. `options` has the value of each option by its name."""

    def connect(self, attempt):
        """Says which connection to make: connection(), packets(), skip() or done()."""
        raise NotImplementedError("connect says which connection to make")

    def as_meant(self, flow):
        """Says whether the capture shows that a flow was sent as its configuration demands: True or False,
        or None where the packet that would show it was not captured."""
        raise NotImplementedError("as_meant says whether a flow was sent as its configuration demands")

    def combine(self, flows):
        """Gives the conditions that follow from all connections of a job."""
        raise NotImplementedError("combine gives the conditions")


class Chain:
    """An observer chain: what it sees of each flow becomes fields."""

    name = ""
    description = ""
    fields = []  # field()
    packets = 16  # how many packets of a flow it is shown, from the first on; 256 at most

    def read(self, packets):
        """Gives the fields of a flow, by their names. One that is not given is null."""
        raise NotImplementedError("read gives the fields of a flow")


# ---- Options ------------------------------------------------------------------------------------------


def _option(name, kind, default, placeholder, help, **more):
    return {"name": name, "kind": kind, "several": False, "default": default, "placeholder": placeholder,
            "help": help, **more}


def flag(name, help):
    """An option that is given or not."""
    return _option(name, "flag", False, "", help)


def integer(name, least, most, default, help):
    """An option that takes a whole number."""
    return _option(name, "integer", default, "N", help, min=least, max=most)


def number(name, least, most, default, help, placeholder="N"):
    """An option that takes a number with a fraction."""
    return _option(name, "number", float(default), placeholder, help, min=float(least), max=float(most))


def text(name, default, help):
    """An option that takes a text; `default` may be None."""
    return _option(name, "text", default, "TEXT", help)


def choice(name, words, help, placeholder="WORD"):
    """An option that takes one of these words, the first by default."""
    return _option(name, "choice", words[0], placeholder, help, choices=list(words))


def timeout():
    """--timeout: the seconds that one connection may take, 5 by default."""
    return number("timeout", 0.01, 3600, 5, "How long one connection may take", "SECONDS")


def connect_kinds(kinds):
    """--connect: which kinds of connection the measurement can use, the default first."""
    return choice("connect", kinds, "How to connect to each target", "MODE")


# ---- Conditions and configurations ----------------------------------------------------------------------


def good(name, meaning):
    """The path carries it, or the target has it."""
    return {"name": name, "class": "good", "meaning": meaning}


def absent(name, meaning):
    """The target has not got it, and the path is not to blame."""
    return {"name": name, "class": "absent", "meaning": meaning}


def impaired(name, meaning):
    """The path harmed it."""
    return {"name": name, "class": "impaired", "meaning": meaning}


def unknown(name, meaning):
    """Neither: a value that was seen, or what has several reasons."""
    return {"name": name, "class": "unknown", "meaning": meaning}


def connectivity(name, works=None):
    """The four conditions that compare an experiment with the baseline; `flows.connectivity` gives them.
    `works` says what works: else that they connected, and got a response if they asked."""
    return {"connectivity": name, "works": works}


def data(label):
    """A configuration that a packet with data carries, after the handshake."""
    return {"label": label, "carrier": "data"}


def field(name, kind, unit, meaning):
    """A field of a chain. `kind` is bool, uint, float, text or list."""
    return {"name": name, "type": kind, "unit": unit, "meaning": meaning}


# ---- Connections ------------------------------------------------------------------------------------------


def connection(kind, **settings):
    """A connection of this kind (tcp, http, https, dnstcp, dnsudp, quic), with settings by name: ttl,
    dscp, timeout_ms, ... docs/plugins.md lists both."""
    return {"kind": kind, "settings": settings}


def packets(octets, **settings):
    """IP packets that are sent as they are; see `fill_checksums`. Where the source address is unspecified
    and the source port 0, pathspider fills both in."""
    return {"kind": "packets", "settings": {"packets": [bytes(packet).hex() for packet in octets], **settings}}


def skip(reason):
    """No connection in this configuration."""
    return {"kind": "skip", "settings": {"spdr_error": reason}}


OK, FAILED, TIMEOUT = 0, 1, 2


def done(state, local=None, **outcome):
    """A connection that the plugin made by itself, with the state that it ended in. `local` is its own
    address and port, by which its flow is found; further keys go into the connection's record."""
    if local is not None:
        outcome.update(sip=local[0], sp=local[1])
    return {"kind": "done", "settings": {"spdr_state": state, **outcome}}


def fill_checksums(packet):
    """An IPv4 or IPv6 packet without extension headers, with the checksums filled in: the header's, and that
    of TCP, UDP or ICMP."""
    packet = bytearray(packet)
    if packet[0] >> 4 == 4:
        header, addresses, protocol = (packet[0] & 15) * 4, packet[12:20], packet[9]
        packet[10:12] = bytes(2)
        packet[10:12] = _checksum(packet[:header])
    else:
        header, addresses, protocol = 40, packet[8:40], packet[6]
    at = {6: 16, 17: 6, 1: 2, 58: 2}.get(protocol)
    if at is not None:
        packet[header + at:header + at + 2] = bytes(2)
        rest = packet[header:]
        covered = b"" if protocol == 1 else addresses + bytes([0, protocol]) + len(rest).to_bytes(4, "big")
        value = _checksum(covered + rest)
        if protocol == 17 and value == bytes(2):
            value = b"\xff\xff"
        packet[header + at:header + at + 2] = value
    return bytes(packet)


def _checksum(octets):
    octets = bytes(octets) + bytes(len(octets) % 2)
    total = sum(int.from_bytes(octets[at:at + 2], "big") for at in range(0, len(octets), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return (total ^ 0xFFFF).to_bytes(2, "big")


# ---- What the functions get ---------------------------------------------------------------------------------


class Attempt:
    """A connection that is asked for."""

    def __init__(self, config, address, port, job):
        self.config = config  # the configuration's place
        self.address = address  # the target's
        self.port = port
        self.job = job  # all keys of the target's input line


class Flow:
    """A connection that ended, and what the capture shows of it: `flow["tcp_connected"]` is a field of a
    chain, or None where it is null."""

    def __init__(self, config, seen, connected, fields, outcome):
        self.config = config
        self.seen = seen  # whether the capture has it
        self.connected = connected  # whether the path carried it
        self.fields = fields
        self.outcome = outcome  # the keys of its record (docs/records.md)

    def __getitem__(self, name):
        try:
            return self.fields[name]
        except KeyError:
            raise KeyError(f"no chain that the measurement names has a field {name!r}") from None


class Flows:
    """All connections of a job."""

    def __init__(self, job, flows, sound):
        self.job = job
        self._flows = flows
        self._sound = sound

    def of(self, config):
        """The connection of a configuration. None where the capture does not show that it was sent as it was
        meant, or that the baseline was."""
        return self._flows[config] if self._sound[config] else None

    def connectivity(self, name, config, worked=None):
        """One of the conditions of `connectivity(name)`: whether the path carried the baseline and this
        configuration, or by a measure of one's own, `worked(flow)`. None where one of them is not proven."""
        a, b = self.of(0), self.of(config)
        if a is None or b is None:
            return None
        worked = worked or (lambda flow: flow.connected)
        words = {(True, True): "works", (True, False): "broken", (False, False): "offline",
                 (False, True): "transient"}
        return f"{name}.connectivity.{words[bool(worked(a)), bool(worked(b))]}"


class Packet:
    """A packet, as the capture has it: whole headers, and the first octets of the data."""

    def __init__(self, time_ns, reverse, icmp, protocol, wire_octets, ip, transport, payload):
        self.time_ns = time_ns  # since the epoch
        self.reverse = reverse  # toward us
        self.icmp = icmp  # an ICMP message: in a measurement, an error about a packet of the flow
        self.protocol = protocol  # by its IANA number
        self.wire_octets = wire_octets  # of the whole IP packet
        self.ip = ip  # the IP header, with its options or extension headers
        self.transport = transport  # the transport header with its options; empty in a later fragment
        self.payload = payload  # what follows it: 128 octets at most

    @property
    def version(self):
        """Of IP."""
        return self.ip[0] >> 4

    @property
    def ttl(self):
        """The time to live, or hop limit."""
        return self.ip[8] if self.version == 4 else self.ip[7]


def load(path):
    """Runs a plugin's file, for tests: `import` would take the NAME.so beside it for a module."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("plugin", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_messages = []


def log(level, message):
    """Writes a message to pathspider's log: level is debug, info or warning. It is shown when the function
    that logs it ends."""
    _messages.append([level, str(message)])
