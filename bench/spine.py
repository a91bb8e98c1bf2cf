#!/usr/bin/env python3
"""Figures of the spine: idle checks, parked polls, durable creates, full cycles, memory.

Every figure is a ratio to a peer or a limit measured in the same run, on the same cores, by the same generator, in
interleaved rounds.  PEERS (default ../shared/peers) holds the Flask peer; without it those rows say so."""
import argparse
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[1]
BUILD = TOP / "build" / "bench"
CREATE_MACHINES = 16  # a cafe; each has more than 1,000 waiting here, so the limit is raised
ADMIN = "at_bench_admin_token_0123456789abcdefghijklmnop"
PEERS = pathlib.Path(os.environ.get("PEERS", TOP.parent / "shared" / "peers"))
RATES = ["--rate-read", "100000000/100000000", "--rate-write", "100000000/100000000",
         "--rate-hello", "1000000/1000000"]


def say(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


class Automat:
    """The release server on a folder of its own, with tokens and rate limits on (the limits set high)."""

    def __init__(self, machines, *flags):
        self.folder = tempfile.mkdtemp(prefix="automat-bench-")
        self.log = open(f"{self.folder}/log", "wb")
        self.process = subprocess.Popen(
            [BUILD / "automat", "serve", "--listen", "127.0.0.1:0", "--mqtt", "off", "--data", f"{self.folder}/data",
             "--log-level", "warn", "--connections-max", "40000", "--parked-max", "40000", *RATES, *flags],
            stdout=subprocess.PIPE, stderr=self.log, env={**os.environ, "AUTOMAT_ADMIN_TOKEN": ADMIN})
        ready = json.loads(self.process.stdout.readline())
        self.url = ready["http"]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.pid = self.process.pid
        self.machines = f"{self.folder}/machines"
        with open(self.machines, "w") as out:
            for number in range(machines):
                reply = self.post("/api/machines", {"machine_id": f"bench-{number}", "kind": "espresso"})
                out.write(f"bench-{number} {reply['token']}\n")

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {
            "Content-Type": "application/json", "Authorization": f"Bearer {ADMIN}"})
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def load(self, mode, conns, seconds=4.0):
        return load(mode, self.port, self.pid, conns, seconds, self.machines, ["--admin", ADMIN])

    def rss_kib(self):
        return rss_kib(self.pid)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.folder)


class Flask:
    """The seed's stack as its head says: SYNC=FULL, 8 waitress threads."""

    def __init__(self, machines):
        self.folder = tempfile.mkdtemp(prefix="flask-bench-")
        self.port = 15000 + os.getpid() % 10000
        self.process = subprocess.Popen(
            [sys.executable if has_flask(sys.executable) else "/usr/bin/python3", PEERS / "flask_iot.py"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "DB": f"{self.folder}/iot.db", "PORT": str(self.port), "THREADS": "8", "SYNC": "FULL"})
        self.pid = self.process.pid
        self.machines = f"{self.folder}/machines"
        with open(self.machines, "w") as out:
            for number in range(machines):
                out.write(f"bench-{number} none\n")
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/commands/check/nobody").read()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the Flask peer did not start")

    def load(self, mode, conns, seconds=4.0):
        return load(mode, self.port, self.pid, conns, seconds, self.machines, ["--plain"])

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder)


class Epoll:
    def __init__(self):
        self.process = subprocess.Popen([BUILD / "bench" / "bench_epoll"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.pid = self.process.pid

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


def has_flask(python):
    return subprocess.run([python, "-c", "import flask, waitress"], capture_output=True).returncode == 0


def rss_kib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise SystemExit("no VmRSS")


def load(mode, port, pid, conns, seconds, machines, flags):
    run = subprocess.run([BUILD / "bench" / "bench_load", mode, "--port", str(port), "--pid", str(pid), "--conns",
                          str(conns), "--seconds", str(seconds), "--machines", machines, *flags],
                         capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def median(rows, name):
    return statistics.median(row[name] for row in rows)


def bench_check(rounds):
    """GET check (204) with a token, beside a bare epoll responder."""
    say("check beside a bare epoll responder")
    automat, epoll = Automat(64), Epoll()
    ours, floor = [], []
    for _ in range(rounds):
        floor.append(load("check", epoll.port, epoll.pid, 64, 3.0, automat.machines, ["--admin", ADMIN]))
        ours.append(automat.load("check", 64, 3.0))
    automat.stop()
    epoll.stop()
    return {"automat": ours, "epoll": floor,
            "ratio": median(ours, "per_cpu_second") / median(floor, "per_cpu_second")}


def bench_park():
    out = {}
    for count in (10000, 15000):
        say(f"{count} parked long polls")
        automat = Automat(count)
        out[str(count)] = automat.load("park", count)
        automat.stop()
    return out


def bench_create(rounds):
    say("durable create, 64 connections: group commit, one commit a command, Flask")
    grouped, single, flask = [], [], []
    for _ in range(rounds):
        for rows, flags in ((grouped, []), (single, ["--group-max", "1"])):
            automat = Automat(CREATE_MACHINES, "--pending-max", "100000", *flags)
            rows.append(automat.load("create", 64))
            automat.stop()
        if PEERS.is_dir():
            peer = Flask(CREATE_MACHINES)
            flask.append(peer.load("create", 64))
            peer.stop()
    out = {"automat": grouped, "one_commit_each": single, "flask": flask,
           "ratio_single": median(grouped, "rate") / median(single, "rate")}
    if flask:
        out["ratio_flask"] = median(grouped, "rate") / median(flask, "rate")
    return out


def bench_cycle(rounds):
    say("cycle create, check, brewing, complete, 64 connections")
    ours, flask = [], []
    for _ in range(rounds):
        automat = Automat(64)
        ours.append(automat.load("cycle", 64))
        automat.stop()
        if PEERS.is_dir():
            peer = Flask(64)
            flask.append(peer.load("cycle", 64))
            peer.stop()
    out = {"automat": ours, "flask": flask}
    if flask:
        out["ratio_flask"] = median(ours, "rate") / median(flask, "rate")
    return out


def bench_rest():
    automat = Automat(0)
    urllib.request.urlopen(automat.url + "/healthz").read()
    kib = automat.rss_kib()
    automat.stop()
    return {"rss_kib": kib}


def table(result):
    check, create, cycle, park = result["check"], result["create"], result["cycle"], result["park"]
    errors = sum(row["errors"] for part in ("check", "create", "cycle") for row in result[part]["automat"])
    rows = [
        ("GET check (204), requests per CPU second, beside a bare epoll responder", f"{check['ratio']:.2f}", ">= 0.7",
         f"{median(check['automat'], 'cpu_us_each'):.2f} against {median(check['epoll'], 'cpu_us_each'):.2f} us each"),
        ("durable create, 64 connections, beside one commit a command", f"{create['ratio_single']:.1f}", ">= 3",
         f"{median(create['automat'], 'rate'):.0f}/s against {median(create['one_commit_each'], 'rate'):.0f}/s; "
         f"p50 {median(create['automat'], 'p50_us') / 1000:.2f} ms, p99 {median(create['automat'], 'p99_us') / 1000:.2f} ms"),
    ]
    if "ratio_flask" in create:
        rows.append(("durable create, 64 connections, beside the Flask peer (SYNC=FULL, 8 threads)",
                     f"{create['ratio_flask']:.1f}", ">= 10", f"{median(create['flask'], 'rate'):.0f}/s there"))
        rows.append(("cycle create-check-brewing-complete beside the Flask peer", f"{cycle['ratio_flask']:.1f}",
                     ">= 10", f"{median(cycle['automat'], 'rate'):.0f}/s against {median(cycle['flask'], 'rate'):.0f}/s"))
    for count, row in park.items():
        rows.append((f"memory of one parked poll, {count} parked (plain HTTP)", f"{row['bytes_each']:.0f} bytes",
                     "< 1024", f"wake from create to answered poll p50 {row['wake_p50_us']} us, "
                               f"p99 {row['wake_p99_us']} us, {row['wakes']} wakes, {row['errors']} errors"))
    rows.append(("memory at rest (no demo)", f"{result['rest']['rss_kib'] / 1024:.1f} MiB", "< 15 MB", ""))
    text = ["# Figures of the spine", "", f"Command: `make bench`. {result['at']}, {result['machine']}.",
            f"Errors in Automat's runs: {errors}. Generator and server share the cores: trust ratios, not rates.", "",
            "| what | measured | wanted | detail |", "| --- | --- | --- | --- |"]
    text += [f"| {what} | {value} | {wanted} | {detail} |" for what, value, wanted, detail in rows]
    return "\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    result = {"at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
              "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"}
    result["rest"] = bench_rest()
    result["check"] = bench_check(arguments.rounds)
    result["create"] = bench_create(arguments.rounds)
    result["cycle"] = bench_cycle(arguments.rounds)
    result["park"] = bench_park()
    folder = TOP / "bench" / "results"
    folder.mkdir(exist_ok=True)
    (folder / "spine.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "spine.md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
