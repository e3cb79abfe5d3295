"""Let the processes of one run work together: all_gather, average, broadcast from rank 0, agree, fail as one.

Tensors travel by NCCL between GPUs and by gloo between CPUs; flags and messages
by a gloo group of their own, so that agreeing never waits for a GPU.
"""

import contextlib
import datetime
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from shards.errors import CxrError
from training.errors import RunError
from training.processes.launch import Launch, launch_of

Result = TypeVar("Result")

_log = logging.getLogger(__name__)

_PATIENCE = datetime.timedelta(minutes=30)
"""For a rank that is late: the first one may be reading a checkpoint, or staging shards."""


class Ranks:
    """This process among those of a run. A run of one process has these methods too: they do nothing then.

    State: the group of processes for flags, or None; whether all have given up together. Every method but `say`,
    `alone` and `signing` is to be called by all ranks in the same order.
    """

    def __init__(self, launch: Launch, control: dist.ProcessGroup | None = None) -> None:
        self.rank, self.world_size = launch.rank, launch.world_size
        self._control = control
        self.ended_together = False

    @classmethod
    def alone(cls) -> "Ranks":
        """Return the only process of a run."""
        return cls(Launch())

    @property
    def leads(self) -> bool:
        """Whether this is the first process, rank 0: the one that writes files and logs."""
        return self.rank == 0

    def say(self, message: str, level: int = logging.INFO) -> None:
        """Log what concerns the whole run, once."""
        if self.leads:
            _log.log(level, message)

    def gather(self, own: Tensor) -> Tensor:
        """Gather every rank's tensor of this shape (all_gather): [world, ...], in the order of the ranks.

        Carries no gradient.
        """
        if self.world_size == 1:
            return own[None]
        own = own.contiguous()
        found = [torch.empty_like(own) for _ in range(self.world_size)]
        with _others_are_there():
            dist.all_gather(found, own)
        return torch.stack(found)

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, float32, by its mean over the ranks; the same bits everywhere.

        All travel as one flat tensor in the order given: the order in which ranks are summed up depends on the place in
        what is sent, and DistributedDataParallel changes those places after its first step, so that a run that was
        stopped and one that was not would differ from three ranks on.
        """
        if self.world_size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _others_are_there():
            dist.all_reduce(flat)
        flat /= self.world_size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)])

    def any(self, flag: bool) -> bool:
        """Tell whether the flag is set on any rank (all_reduce). Does not wait for a GPU."""
        if self._control is None:
            return flag
        flags = torch.tensor(int(flag))
        with _others_are_there():
            dist.all_reduce(flags, dist.ReduceOp.MAX, group=self._control)
        return bool(flags)

    def share(self, value: Result) -> list[Result]:
        """Gather every rank's value, any small object, in the order of the ranks. Waits for all of them."""
        if self._control is None:
            return [value]
        values: list[Any] = [None] * self.world_size
        with _others_are_there():
            dist.all_gather_object(values, value, group=self._control)
        return values

    def of_leader(self, work: Callable[[], Result]) -> Result:
        """Run `work` on rank 0 and return its result on all ranks; a CxrError in it ends them all, with one message."""
        result: Result | None = None
        with self.together():
            if self.leads:
                result = work()
        return self.share(result)[0]  # type: ignore[return-value]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """End all ranks where one fails in the block: rank 0 reports the CxrErrors of all ranks, each once.

        Nothing inside may wait for another rank. The other ranks end with status 1 and without a message.
        """
        error: CxrError | None = None
        try:
            yield
        except CxrError as found:
            error = found
        messages = self.share(None if error is None else str(error))
        if not any(messages):
            return
        if self.leads and error is not None and set(messages) - {None} == {str(error)}:
            self.ended_together = True
            raise error
        by_message = _ranks_by_value(messages)
        self._fail(" ".join(f"{self._name(whose[0])}: {message}" for message, whose in by_message.items() if message))

    def agree(self, what: Mapping[str, str | int]) -> None:
        """Raise RunError naming the first of the values that is not the same on all ranks, and whose is which."""
        found = self.share(dict(what))
        for name in what:
            by_value = _ranks_by_value([str(one.get(name)) for one in found])
            if len(by_value) > 1:
                told = "; ".join(f"{value} in {', '.join(map(str, whose))}" for value, whose in by_value.items())
                self._fail(f"The {self.world_size} processes of this run do not have the same {name}: {told}.")

    @contextlib.contextmanager
    def signing(self) -> Iterator[None]:
        """Add to a CxrError which rank it comes from, where there are several."""
        try:
            yield
        except CxrError as error:
            if self.world_size == 1:
                raise
            raise type(error)(f"{error} ({self._name(self.rank)}, on {socket.gethostname()})") from error

    def _name(self, rank: int) -> str:
        return f"process {rank} of {self.world_size}"

    def _fail(self, message: str) -> None:
        self.ended_together = True
        if not self.leads:
            raise SystemExit(1)
        raise RunError(message)


def _ranks_by_value(values: Sequence[str | None]) -> dict[str | None, list[int]]:
    """List the ranks that have each value, in the order of the first that has it."""
    found: dict[str | None, list[int]] = {}
    for rank, value in enumerate(values):
        found.setdefault(value, []).append(rank)
    return found


@contextlib.contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun or srun has started with this one; a process that neither has started is alone.

    device: cpu or gpu; of a node's GPUs this process takes the one of its local rank. Raises RunError if they do not
    find each other.
    """
    launch = launch_of(os.environ)
    if device == "gpu":
        torch.cuda.set_device(launch.local_rank % torch.cuda.device_count())
    if launch.world_size == 1:
        yield Ranks(launch)
        return
    place = f"{launch.address}:{launch.port}"
    torchrun = "TORCHELASTIC_RUN_ID" in os.environ  # its agent may keep the store itself
    try:
        dist.init_process_group(
            "nccl" if device == "gpu" else "gloo",
            init_method="env://" if torchrun else f"tcp://{place}",
            rank=launch.rank,
            world_size=launch.world_size,
            timeout=_PATIENCE,
            device_id=torch.device("cuda", torch.cuda.current_device()) if device == "gpu" else None,
        )
        control = dist.new_group(backend="gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"Process {launch.rank} of {launch.world_size} on {socket.gethostname()} did not meet the others at "
            f"{place}: {str(error).splitlines()[0]}. See that all were started, that this name and port can be reached "
            "from each node, or set MASTER_ADDR and MASTER_PORT."
        ) from error
    assert isinstance(control, dist.ProcessGroup)  # it is for all ranks, so this one is of it
    ranks = Ranks(launch, control)
    try:
        yield ranks
    except BaseException:
        # NCCL might wait for ever for ranks that are gone; gloo does not, and left alone may abort the process.
        if ranks.ended_together or device == "cpu":
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


@contextlib.contextmanager
def _others_are_there() -> Iterator[None]:
    """Turn what torch says of a connection that has ended into an error for people."""
    try:
        yield
    except RuntimeError as error:
        raise RunError(
            "Another process of this run has ended, and this one ends with it; the other one's own message says why "
            f"({str(error).splitlines()[0]})."
        ) from error
