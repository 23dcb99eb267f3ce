"""Measures GPU seconds by a running `nvidia-smi`; used only where a GPU was asked for and the program is there."""

import os
import time

from . import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

_QUERY = ["--query-gpu=index,uuid,utilization.gpu", "--format=csv,noheader,nounits", "-l", "2"]


class GpuMeter:
    """Adds up utilisation over time of the visible GPUs."""

    def __init__(self, program: str, env: "Dict[str, str]", cwd: str) -> None:
        """Start the program; read `fd` when it is readable."""
        self.seconds = 0.0
        self.fd, write = os.pipe()
        os.set_blocking(self.fd, False)
        null = os.open(os.devnull, os.O_RDWR)
        try:
            self.pid = process.spawn(program, [program, *_QUERY], env, cwd, null, write, null)
        finally:
            os.close(write)
            os.close(null)
        self._visible = [word for word in env.get("CUDA_VISIBLE_DEVICES", "").split(",") if word]
        self._rest = b""
        self._seen: "Dict[str, float]" = {}

    def take(self, data: bytes) -> None:
        """Read lines such as `0, GPU-5f..., 87`."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        now = time.monotonic()
        for line in lines:
            words = [word.strip() for word in line.decode("ascii", "replace").split(",")]
            if len(words) != 3 or not words[2].isdigit() or not self._is_ours(words[0], words[1]):
                continue
            self.seconds += int(words[2]) / 100.0 * (now - self._seen.get(words[0], now))
            self._seen[words[0]] = now

    def _is_ours(self, index: str, uuid: str) -> bool:
        return not self._visible or any(index == name or uuid.startswith(name) for name in self._visible)
