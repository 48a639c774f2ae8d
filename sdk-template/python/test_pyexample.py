"""Tests without pathspider, root or a network: python3 -m unittest"""

import pathlib
import unittest

import pathspider

plugin = pathspider.load(pathlib.Path(__file__).with_name("pyexample.py"))
LOW, Example, Hops = plugin.LOW, plugin.Example, plugin.Hops


def packet(ttl, reverse=False, icmp=False):
    header = bytes([0x45, 0, 0, 40, 0, 0, 0, 0, ttl, 6, *bytes(10)])
    return pathspider.Packet(0, reverse, icmp, 6, 40, header, bytes(20), b"")


def flow(config, ttl, connected=True):
    fields = Hops().read([packet(ttl), packet(57, reverse=True)])
    return pathspider.Flow(config, True, connected, fields, {})


class Tests(unittest.TestCase):
    measurement = Example({"ttl": 32, "timeout": 5.0})

    def test_the_chain_reads_the_first_packets(self):
        fields = Hops().read([packet(32), packet(9, True, icmp=True), packet(57, True), packet(56, True)])
        self.assertEqual(fields, {"pyexample_hops_fwd": 32, "pyexample_hops_rev": 57})

    def test_b_alone_asks_for_the_low_time_to_live(self):
        settings = [self.measurement.connect(pathspider.Attempt(config, "192.0.2.1", 80, {}))["settings"]
                    for config in (0, LOW)]
        self.assertEqual([each.get("ttl") for each in settings], [None, 32])

    def test_a_target_that_answers_a_alone_is_broken(self):
        flows = [flow(0, 64), flow(LOW, 32, connected=False)]
        self.assertEqual([self.measurement.as_meant(each) for each in flows], [True, True])
        said = list(self.measurement.combine(pathspider.Flows({}, flows, [True, True])))
        self.assertEqual(said, ["pyexample.connectivity.broken", "pyexample.hops:57"])

    def test_what_the_wire_does_not_show_is_no_verdict(self):
        self.assertIs(self.measurement.as_meant(flow(LOW, 64)), False)
        self.assertIsNone(self.measurement.as_meant(pathspider.Flow(LOW, True, True, Hops().read([]), {})))
        said = self.measurement.combine(pathspider.Flows({}, [flow(0, 64), flow(LOW, 64)], [True, False]))
        self.assertEqual([each for each in said if each], [])


if __name__ == "__main__":
    unittest.main()
