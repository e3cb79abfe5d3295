"""A real two-node Slurm on this machine's loopback: no systemd, no cgroups, no accounting, no GPU needed.

Takes an empty folder and starts daemons whose configuration, state and logs live in that folder, and
which end with this process. It must not know what the jobs are. By hand: python -m tests.slurm.cluster DIR
"""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

NODES = ("n1", "n2")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
PATIENCE_S = 1200.0
"""Seconds after which a wait is given up as a hang, far more than a loaded machine needs."""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=8 RealMemory=256000 Gres=gpu:4\n"


def missing() -> str | None:
    """Why a Slurm cannot be started here, as a sentence; None if it can."""
    if os.geteuid() != 0:
        return "a Slurm for tests is started as root only"
    lacking = [
        name for name in ("munged", "slurmctld", "slurmd", "sbatch", "setpriv") if not shutil.which(name, path=PATH)
    ]
    if lacking:
        return f"{', '.join(lacking)} not found: run scripts/install-test-packages.sh"
    return None


class Cluster:
    """Answers about a running Slurm; `environment` is what a command needs to talk to it.

    State: the slurmd of each node, for tests in which a node dies and comes back.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.slurmds: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))},
            "SLURM_CONF": str(root / "slurm.conf"),
            "PATH": PATH,
        }

    def run(self, *command: str, env: Mapping[str, str] | None = None) -> str:
        """Standard output of a Slurm command; an AssertionError with its standard error if it fails."""
        environment = {**self.environment, **(env or {})}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, f"{' '.join(command)} exited {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def jobs(self, job: str) -> list[dict[str, str]]:
        """The fields of a job, or of each task of an array: JobState, Reason, ExitCode, Restarts, ..."""
        lines = self.run("scontrol", "show", "job", "-o", job).splitlines()
        return [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines]

    def states(self, job: str) -> set[str]:
        """The states of a job's tasks, such as {"COMPLETED"} or {"RUNNING", "PENDING"}."""
        return {fields["JobState"] for fields in self.jobs(job)}

    def wait(self, job: str, seconds: float, ready: Callable[[set[str]], bool]) -> set[str]:
        """Wait until `ready(states)`; TimeoutError with what the job was doing otherwise."""
        wait_until(lambda: ready(self.states(job)), lambda: f"job {job} is {self.jobs(job)}", seconds)
        return self.states(job)

    def processes(self, name: str, value: str) -> list[int]:
        """Process ids of the batch shells and steps whose environment has a variable of Slurm with this value.

        Another cluster of this machine has jobs of the same number.
        """
        found: list[int] = []
        wanted = {f"{name}={value}".encode(), f"SLURM_CONF={self.environment['SLURM_CONF']}".encode()}
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                    found.append(int(folder.name))
        return found

    @contextlib.contextmanager
    def slurmd_timeout(self, seconds: int) -> Iterator[None]:
        """Take a node that does not answer for so many seconds as down, for a while."""
        path = self.root / "slurm.conf"
        before = path.read_text()
        after = re.sub("^SlurmdTimeout=.*$", f"SlurmdTimeout={seconds}", before, flags=re.MULTILINE)
        try:
            path.write_text(after)
            self.run("scontrol", "reconfigure")
            assert re.search(rf"SlurmdTimeout += {seconds} sec", self.run("scontrol", "show", "config"))
            yield
        finally:
            path.write_text(before)
            self.run("scontrol", "reconfigure")

    def kill_node(self, node: str) -> None:
        """Kill a node's slurmd and all that it has started, batch shells and slurmstepd too, as a power cut does."""
        tasks = self.processes("SLURMD_NODENAME", node)
        for pid in (self.slurmds[node].pid, *step_daemons(tasks), *tasks):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.slurmds[node].wait()

    def start_node(self, node: str) -> None:
        """Start a node's slurmd again and wait until the node takes jobs."""
        self.slurmds[node] = daemon(self, ["slurmd", "-D", "-N", node])
        ready = {"idle", "mixed", "allocated"}
        wait_until(lambda: bool(node_states(self, node) & ready), lambda: f"{node} is {node_states(self, node)}")


def step_daemons(tasks: list[int]) -> set[int]:
    """Process ids of the slurmstepd daemons that have started some processes."""
    found = set()
    for pid in tasks:
        with contextlib.suppress(OSError):
            parent = int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
            if (Path("/proc") / str(parent) / "comm").read_text().startswith("slurmstepd"):
                found.add(parent)
    return found


@contextlib.contextmanager
def running_cluster(root: Path) -> Iterator[Cluster]:
    """Start munged, slurmctld and two slurmd under `root` (absolute, short: a socket's path has a limit)."""
    cluster = Cluster(root)
    configure(root, first_port=unused_ports(1 + len(NODES)))
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        start(cluster, daemons)
        yield cluster
    finally:
        stop(cluster, daemons)


def configure(root: Path, first_port: int) -> None:
    """Write slurm.conf, gres.conf, cgroup.conf, a munge key and device files that pass for four GPUs a node."""
    host = socket.gethostname().split(".")[0]  # Slurm insists on this machine's own short name
    key = root / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    for gpu in range(4):
        os.mknod(root / f"gpu{gpu}", 0o20666, os.makedev(1, 3))  # /dev/null's numbers: Slurm only looks for a device
    text = (Path(__file__).parent / "slurm.conf.in").read_text().format(root=root, host=host, port=first_port)
    for offset, name in enumerate(NODES, start=1):
        text += NODE.format(name=name, host=host, port=first_port + offset)
        (root / f"spool-{name}").mkdir()
    (root / "state").mkdir()
    (root / "slurm.conf").write_text(text)
    (root / "gres.conf").write_text(f"Name=gpu File={root}/gpu[0-3]\n")
    (root / "cgroup.conf").write_text("# unused\n")


def start(cluster: Cluster, daemons: list[subprocess.Popen[bytes]]) -> None:
    """Start the daemons, adding each to `daemons`, and wait until both nodes are idle."""
    root = cluster.root
    munge = [f"--{name}={root}/munge.{name.split('-')[0]}" for name in ("key-file", "socket", "pid-file", "seed-file")]
    daemons.append(daemon(cluster, ["munged", "--foreground", *munge]))
    wait_until(lambda: (root / "munge.socket").exists(), lambda: f"no munge socket\n{logs(root)}")
    daemons.append(daemon(cluster, ["slurmctld", "-D", "-i"]))
    for name in NODES:
        cluster.slurmds[name] = daemon(cluster, ["slurmd", "-D", "-N", name])
    idle = {"idle"}
    wait_until(
        lambda: all(node_states(cluster, name) == idle for name in NODES),
        lambda: f"nodes are {node_states(cluster)}\n{logs(root)}",
    )


def daemon(cluster: Cluster, command: list[str]) -> "subprocess.Popen[bytes]":
    """Start one daemon, which ends with us, also where a killed pytest cannot stop it (setpriv)."""
    with (cluster.root / f"{command[0]}.out").open("ab") as out:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            env=cluster.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )


def wait_until(ready: Callable[[], bool], otherwise: Callable[[], str], seconds: float = PATIENCE_S) -> None:
    """Wait until `ready()`; TimeoutError with `otherwise()` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s: {otherwise()}")
        time.sleep(0.1)


def logs(root: Path) -> str:
    """The ends of the daemons' logs."""
    files = sorted([*root.glob("*.log"), *root.glob("*.out")])
    return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-1500:]}" for file in files)


def node_states(cluster: Cluster, *nodes: str) -> set[str]:
    """The states of some or all nodes, such as "idle"; nothing while slurmctld does not answer."""
    command = ["sinfo", "-h", "-N", "-o", "%T", *(["-n", ",".join(nodes)] if nodes else [])]
    done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, timeout=PATIENCE_S)
    return set(done.stdout.split())


def stop(cluster: Cluster, daemons: list[subprocess.Popen[bytes]]) -> None:
    """End the jobs while slurmctld can still do it, then the daemons, munged last."""
    try:
        subprocess.run(
            ["scancel", "--partition=test"], env=cluster.environment, capture_output=True, timeout=PATIENCE_S
        )
        # No states: slurmctld has ended by itself.
        wait_until(lambda: node_states(cluster) <= {"idle"}, lambda: f"jobs still run: {node_states(cluster)}")
    finally:
        for one in (*cluster.slurmds.values(), *reversed(daemons)):
            one.terminate()
            try:
                one.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                one.kill()
                raise


def unused_ports(count: int) -> int:
    """The first of `count` consecutive TCP ports on loopback that nothing listens on now.

    Drawn at random: another process of the tests may be starting a Slurm of its own.
    """
    candidates = range(16817, 32000, count)
    for first in random.sample(candidates, len(candidates)):
        with contextlib.ExitStack() as sockets:
            try:
                for port in range(first, first + count):
                    listener = sockets.enter_context(socket.socket())
                    listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise OSError("no unused ports between 16817 and 32000")


def main() -> None:
    """Run a cluster under the folder that is named until Ctrl-C."""
    root = Path(sys.argv[1]).resolve()
    root.mkdir(parents=True)
    with running_cluster(root) as cluster, contextlib.suppress(KeyboardInterrupt):
        print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']}    Ctrl-C stops it", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
