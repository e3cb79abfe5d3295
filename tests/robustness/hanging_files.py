"""A file system that hangs: FUSE by hand, a mirror of a folder whose files stop to answer when they are told to.

    python -m tests.robustness.hanging_files SOURCE MOUNTED

Reads of a file whose name ends as the file SOURCE/.hang says are answered by EINTR when the reader gets a signal, and
never otherwise, as by a disk over a network (NFS). Needs the right to mount (root).
The messages are those of Linux' include/uapi/linux/fuse.h, version 7.31.
"""

import ctypes
import errno
import os
import signal
import struct
import sys
from pathlib import Path

HANG = ".hang"
_PARENT_DEATH_SIGNAL = 1
_HEADER, _ENTRY, _ATTRIBUTES = "<IIQQIIII", "<QQQQII", "<6Q10I"
_DIRECT = 1  # no page cache: every read comes here
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _RELEASE, _FLUSH, _INIT = 1, 2, 3, 14, 15, 18, 25, 26
_OPENDIR, _READDIR, _RELEASEDIR, _INTERRUPT, _BATCH_FORGET = 27, 28, 29, 36, 42


def mount(folder: Path) -> int:
    """Mount on a folder; returns the descriptor over which the kernel asks. Raises OSError where that is forbidden."""
    device = os.open("/dev/fuse", os.O_RDWR)
    system = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other".encode()
    if system.mount(b"hanging", os.fsencode(folder), b"fuse", 0, options):
        number = ctypes.get_errno()
        os.close(device)
        raise OSError(number, os.strerror(number))
    return device


def unmounted_with_the_parent(folder: Path) -> None:
    """Unmount and end as soon as the parent process has ended, be it by SIGKILL."""

    def end(*_: object) -> None:
        unmount(folder)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def unmount(folder: Path) -> None:
    """Unmount, also while calls hang."""
    ctypes.CDLL(None).umount2(os.fsencode(folder), 2)


class Server:
    """State: the paths by the numbers that the kernel knows them by."""

    def __init__(self, source: Path, device: int) -> None:
        self._source, self._device = source, device
        self._nodes: dict[int, Path] = {1: source}

    def serve(self) -> None:
        """Answer until the folder is unmounted."""
        while True:
            try:
                message = os.read(self._device, 1 << 20)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                continue
            _, kind, number, node, *_ = struct.unpack_from(_HEADER, message)
            if kind == _INTERRUPT:  # the caller has got a signal; without an answer not even SIGKILL would end it
                (hanging,) = struct.unpack_from("<Q", message, struct.calcsize(_HEADER))
                os.write(self._device, struct.pack("<IiQ", 16, -errno.EINTR, hanging))
                continue
            if kind in (_FORGET, _BATCH_FORGET):
                continue
            try:
                answer = self._answer(kind, node, message[struct.calcsize(_HEADER) :])
            except OSError as error:
                os.write(self._device, struct.pack("<IiQ", 16, -(error.errno or errno.EIO), number))
                continue
            if answer is not None:
                os.write(self._device, struct.pack("<IiQ", 16 + len(answer), 0, number) + answer)

    def _answer(self, kind: int, node: int, body: bytes) -> bytes | None:
        """The body of an answer; None where there is to be none, ever."""
        if kind == _INIT:
            return struct.pack("<4I2H2I2HI7I", 7, 31, 0, 0, 1, 1, 4096, 1, 1, 0, 0, *[0] * 7)
        path = self._nodes[node]
        if kind == _LOOKUP:
            path = path / os.fsdecode(body.rstrip(b"\0"))
            status = path.stat()
            self._nodes[status.st_ino] = path
            return struct.pack(_ENTRY, status.st_ino, 0, 0, 0, 0, 0) + _attributes(status)
        if kind == _GETATTR:
            return struct.pack("<QII", 0, 0, 0) + _attributes(path.stat())
        if kind in (_OPEN, _OPENDIR):
            return struct.pack("<QII", 0, _DIRECT, 0)
        if kind in (_RELEASE, _RELEASEDIR, _FLUSH):
            return b""
        if kind == _READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            hanging = self._source / HANG
            if hanging.is_file() and path.name.endswith(hanging.read_text()):
                return None
            with path.open("rb") as file:
                return os.pread(file.fileno(), size, offset)
        if kind == _READDIR:
            _, offset, size = struct.unpack_from("<QQI", body)
            return _entries(path, offset, size)
        raise OSError(errno.ENOSYS, "no such call")


def _entries(folder: Path, offset: int, size: int) -> bytes:
    found = b""
    for place, path in enumerate(sorted(folder.iterdir())):
        name = os.fsencode(path.name)
        entry = struct.pack("<QQII", path.stat().st_ino, place + 1, len(name), 0) + name
        entry += bytes(-len(entry) % 8)
        if place >= offset and len(found) + len(entry) <= size:
            found += entry
    return found


def _attributes(status: os.stat_result) -> bytes:
    times = (int(status.st_atime), int(status.st_mtime), int(status.st_ctime))
    numbers = (0, status.st_mtime_ns % 10**9, 0, status.st_mode, status.st_nlink, status.st_uid, status.st_gid)
    return struct.pack(_ATTRIBUTES, status.st_ino, status.st_size, status.st_blocks, *times, *numbers, 0, 4096, 0)


if __name__ == "__main__":
    mounted = Path(sys.argv[2])
    asked = mount(mounted)
    unmounted_with_the_parent(mounted)
    print("mounted", flush=True)
    Server(Path(sys.argv[1]), asked).serve()
