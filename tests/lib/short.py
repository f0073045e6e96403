#!/usr/bin/python3
"""Halves what one system call of a running process really moves: a short read or write.

    short.py PID CALL K     CALL: read, write, pread64, pwrite64

Says "attached", then waits for the K-th such call of more than one byte (counted from 1), lets it
move half as much, says "struck" and how much, and goes on watching until it gets SIGTERM or the
process ends. Nothing is made up: what the call returns is what was moved. x86_64 and aarch64."""
import ctypes
import os
import platform
import signal
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long
SYSCALL, CONT, DETACH, SETREGSET = 24, 7, 17, 0x4205
SEIZE, INTERRUPT, GET_INFO, GETREGSET = 0x4206, 0x4207, 0x420e, 0x4204
TRACESYSGOOD, NT_PRSTATUS, ENTRY, WALL = 1, 1, 1, 0x40000000
NUMBERS, COUNT_AT = {
    "x86_64": ({"read": 0, "write": 1, "pread64": 17, "pwrite64": 18}, 12),
    "aarch64": ({"read": 63, "write": 64, "pread64": 67, "pwrite64": 68}, 2),
}[platform.machine()]


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def ptrace(request, pid, address=0, data=0):
    got = LIBC.ptrace(request, pid, address, data)
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got


def set_count(pid, count):
    """The third argument of the call that pid is about to make."""
    words = (ctypes.c_uint64 * 64)()
    vector = Iovec(ctypes.addressof(words), ctypes.sizeof(words))
    ptrace(GETREGSET, pid, NT_PRSTATUS, ctypes.addressof(vector))
    words[COUNT_AT] = count
    ptrace(SETREGSET, pid, NT_PRSTATUS, ctypes.addressof(vector))


def entered(pid):
    """(number, third argument) of a call that begins; None at its end."""
    info = ctypes.create_string_buffer(128)
    ptrace(GET_INFO, pid, len(info), ctypes.addressof(info))
    if info.raw[0] != ENTRY:
        return None
    number, _, _, count = struct.unpack_from("<4Q", info.raw, 24)
    return number, count


def main():
    pid, number, k = int(sys.argv[1]), NUMBERS[sys.argv[2]], int(sys.argv[3])
    ptrace(SEIZE, pid, 0, TRACESYSGOOD)
    ptrace(INTERRUPT, pid)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the kernel detaches
    print("attached", flush=True)
    while True:
        _, status = os.waitpid(pid, WALL)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return
        stop, event, send = os.WSTOPSIG(status), status >> 16, 0
        if stop == signal.SIGTRAP | 0x80:
            call = entered(pid)
            if call and call[0] == number and call[1] > 1:
                k -= 1
                if k == 0:
                    set_count(pid, call[1] // 2)
                    print("struck: %d of %d bytes" % (call[1] // 2, call[1]), flush=True)
        elif event == 0:
            send = stop
        ptrace(SYSCALL, pid, 0, send)


main()
