#!/usr/bin/env python3
"""Compares `pathspider report` and `export` with DuckDB on the same records, in one run.

    make bench-records
    python tests/bench/records.py --records ecn.ndjson --rounds 9

The programs take turns, so that a busy moment of the machine meets all of them; medians count. Of DuckDB only
the query is measured, and of pathspider the whole program. Without --records, a million records of `ecn` are
made, the same on every machine. Whether both count the same is checked.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

# What a query takes, without Python's start. Its answer is written to the file, if it has one.
DUCKDB = """
import duckdb, json, resource, sys, time
query, answer = sys.argv[1:]
duckdb.sql("SET enable_progress_bar = false")
used = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
cpu, wall = used(), time.monotonic()
rows = duckdb.sql(query)
rows = rows.fetchall() if rows is not None else []
cpu, wall = used() - cpu, time.monotonic() - wall
if answer:
    open(answer, "w").write(json.dumps(rows, default=str))
print(json.dumps([cpu, wall]))
"""

READ = "read_json('{file}', format='newline_delimited')"
CONDITIONS = f"""SELECT c, count(*), count(DISTINCT dip)
FROM (SELECT unnest(conditions) AS c, dip FROM {READ}) GROUP BY c"""
SAME = f"""WITH records AS (SELECT conditions, dip, dp, (time."from"::VARCHAR)[1:13] AS hour, plugin,
    CASE WHEN contains(dip, ':') THEN 6 ELSE 4 END AS ip_version, time, sip, answered_from FROM {READ})
SELECT plugin, c, dp, ip_version, hour, count(*), count(DISTINCT (dip, dp)), min(time), max(time)
FROM (SELECT unnest(conditions) AS c, * FROM records)
GROUP BY GROUPING SETS ((plugin, c), (plugin, c, dp), (plugin, c, ip_version), (plugin, c, hour))"""
COPY = f"COPY (SELECT * FROM {READ}) TO '{{folder}}/duckdb.parquet' (FORMAT parquet)"


def make(path, count):
    """Records as `ecn` writes them, in shares as they are in the Internet."""
    chance = random.Random(1)
    address = lambda: ".".join(str(chance.randrange(1, 255)) for _ in range(4))
    name = lambda words: "ecn." + words
    found = {
        "works": ["connectivity.works", "negotiation.succeeded"],
        "refuses": ["connectivity.works", "negotiation.failed"],
        "broken": ["connectivity.broken"],
        "offline": ["connectivity.offline"],
    }
    start = 1_795_000_000
    with open(path + ".new", "w") as file:
        for number in range(count):
            dip = address() if number % 8 else f"2001:db8:{chance.randrange(1 << 16):x}::{number:x}"
            which = chance.choices(list(found), [80, 12, 1, 7])[0]
            conditions = [name(words) for words in found[which]]
            if which == "works":
                for mark in ["ect0", "ect1", "ce"]:
                    seen = "seen" if mark == "ect0" and chance.random() < 0.2 else "not_seen"
                    conditions.append(name(f"ipmark.{mark}.{seen}"))
            at = start + number // 200
            when = lambda micros: time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{micros:06}Z"
            ttl = chance.randrange(40, 64)
            micros = chance.randrange(900_000)
            record = {"dip": dip, "dp": 443 if number % 3 else 80, "sip": "10.0.0.2", "path": ["10.0.0.2", "*", dip],
                "answered_from": {"ttl": [ttl], "hops": [64 - ttl], "other_ttl": [ttl]}, "conditions": conditions,
                "time": {"from": when(micros), "to": when(micros + 20_000)}, "jobId": f"18b4dd003013c09b-{number:x}",
                "schema": 1, "run": "189d9e134b6fa95e", "plugin": "ecn", "version": "0.1.0", "rank": number}
            if which == "offline":
                del record["answered_from"]
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
    os.rename(path + ".new", path)


def child(command, output):
    """Runs a command; its processor time, time and memory in MiB."""
    with open(output, "wb") as file:
        begun = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE)
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command}: {said.decode()}")
    return used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--program", default="target/release/pathspider-report")
    arguments.add_argument("--records", help="ndjson that `ecn` wrote")
    arguments.add_argument("--count", type=int, default=1_000_000, help="records to make without --records")
    arguments.add_argument("--rounds", type=int, default=7)
    options = arguments.parse_args()
    folder = tempfile.mkdtemp(prefix="bench-records-")
    try:
        run(options, folder)
    finally:
        shutil.rmtree(folder)


def run(options, folder):
    file = options.records
    if file is None:
        file = f"target/bench-records-{options.count}.ndjson"
        if not os.path.exists(file):
            make(file, options.count)
    output = os.path.join(folder, "output")
    tables = os.path.join(folder, "tables")

    def ours(*words):
        def once():
            shutil.rmtree(tables, ignore_errors=True)
            return child([options.program, *words], output)
        return once

    def duckdb(query, answer=""):
        def once():
            text = query.format(file=file, folder=folder)
            _, _, memory = child([sys.executable, "-c", DUCKDB, text, answer], output)
            cpu, wall = json.load(open(output))
            return cpu, wall, memory
        return once

    answer = os.path.join(folder, "answer")
    report = ours("report", "--json", file)
    programs = {
        "`report --json`": report,
        "DuckDB: the counts of conditions alone": duckdb(CONDITIONS, answer),
        "DuckDB: the counts of conditions by the same keys and by hour, of targets, and times": duckdb(SAME),
        "`export --parquet`": ours("export", "--parquet", tables, file),
        "DuckDB: `COPY` to Parquet": duckdb(COPY),
    }
    for name, command in [
        ("`jq -r '.conditions[]'`, which counts nothing", ["jq", "-r", ".conditions[]", file]),
        ("`wc -l`", ["wc", "-l", file]),
    ]:
        if shutil.which(command[0]):
            programs[name] = lambda command=command: child(command, os.devnull)
    # jq takes much longer than the others, and is only there for the scale.
    once_only = [name for name in programs if name.startswith("`jq")]

    report()
    figures = json.load(open(output))
    counted = {of["condition"]: of["cases"] for measured in figures["measurements"]
        for aspect in measured["aspects"] for of in aspect["conditions"]}
    records = figures["inputs"]["records"]
    taken = {name: [] for name in programs}
    for number in range(options.rounds):
        for name, program in programs.items():
            if number == 0 or name not in once_only:
                taken[name].append(program())
    theirs = {row[0]: row[1] for row in json.load(open(answer)) if not row[0].startswith("pathspider.")}
    if theirs != counted:
        sys.exit(f"the counts differ: {counted} and {theirs}")

    size = os.path.getsize(file) / 1e6
    print(f"{records:,} records, {size:.0f} MB; medians of {options.rounds} rounds, seconds for a million records\n")
    print("| | processor time | time | MiB |\n|---|---:|---:|---:|")
    scale = 1e6 / records
    for name, rounds in taken.items():
        cpu, wall, memory = (statistics.median(of) for of in zip(*rounds))
        print(f"| {name} | {cpu * scale:.2f} | {wall * scale:.2f} | {memory:.0f} |")
    print()
    names = list(programs)
    for mine, other in [(0, 1), (0, 2), (3, 4)]:
        for at, what in enumerate(["processor time", "time"]):
            ratios = [a[at] / b[at] for a, b in zip(taken[names[mine]], taken[names[other]])]
            low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
            print(f"{names[mine]} / {names[other]}, {what}: {middle:.2f} ({low:.2f} to {high:.2f})")


main()
