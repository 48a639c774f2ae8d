"""Whether a connection with a low time to live works like an ordinary one."""

import pathspider

ORDINARY, LOW = 0, 1


class Hops(pathspider.Chain):
    """The time to live of the first packet in each direction."""

    name = "pyexample_hops"
    description = "time to live of the first packets"
    fields = [
        pathspider.field("pyexample_hops_fwd", "uint", "hops", "time to live of the originator's first packet"),
        pathspider.field("pyexample_hops_rev", "uint", "hops", "time to live of the other side's first packet; null if none came"),
    ]

    def read(self, packets):
        first = {}
        for packet in packets:
            # An ICMP error is shown with the flow that it is about, and is some router's.
            if not packet.icmp:
                first.setdefault(packet.reverse, packet.ttl)
        return {"pyexample_hops_fwd": first.get(False), "pyexample_hops_rev": first.get(True)}


class Example(pathspider.Measurement):
    """The measurement of one run."""

    name = "pyexample"
    version = "0.1.0"
    description = "Example in Python: a low time to live"
    contact = "https://example.org/whom-to-ask"
    options = [pathspider.integer("ttl", 1, 255, 32, "The time to live of B"), pathspider.timeout()]
    conditions = [
        pathspider.connectivity("pyexample"),
        pathspider.unknown("pyexample.hops:<hops>", "the target's first packet in B came with this many hops left"),
    ]
    configurations = ["ordinary", "low ttl"]
    chains = ["basic", "tcp", "pyexample_hops"]

    def __init__(self, options):
        self.ttl = options["ttl"]
        self.timeout_ms = int(options["timeout"] * 1000)

    def connect(self, attempt):
        settings = {"ttl": self.ttl} if attempt.config == LOW else {}
        return pathspider.connection("tcp", timeout_ms=self.timeout_ms, **settings)

    def as_meant(self, flow):
        # The wire decides: without a packet that shows the setting, there is no verdict.
        sent = flow["pyexample_hops_fwd"]
        if sent is None:
            return None
        return flow.config != LOW or sent == self.ttl

    def combine(self, flows):
        yield flows.connectivity("pyexample", LOW)
        low = flows.of(LOW)
        if low and low["pyexample_hops_rev"] is not None:
            yield f"pyexample.hops:{low['pyexample_hops_rev']}"
