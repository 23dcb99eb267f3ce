"""One attempt from `task.json` to `outcome.json`: stage in, make the environment, run, stage out, say what happened."""

import os
import sys
import time

from . import process, program, record, spec, stage, surroundings
from .clear import clear
from .failure import VERSION, Failure
from .logs import CappedLog, end, last_line
from .meter import Meter
from .signals import name_of
from .stopping import Stopped, Stopping
from .supervise import Limits, Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

    from .checkpoint import Keeper

_BUILD_TIME = 3600.0  # seconds a virtual environment may take
_LONG = 60.0  # seconds of a payload after which the node is worth a tenth of a second to measure


class Attempt:
    """An attempt under way; `outcome` fills up as it goes."""

    def __init__(self, task: "spec.Task", sandbox: str, cache: str, grace: float, stopping: Stopping) -> None:
        """Prepare clean directories in the sandbox."""
        self.task = task
        self.sandbox = sandbox
        self.cache = cache
        self.grace = grace
        self.stopping = stopping
        self.work, self.tmp = os.path.join(sandbox, "work"), os.path.join(sandbox, "tmp")
        self.outcome = record.blank(task.address, task.lease)
        self.detail: "Dict[str, Any]" = self.outcome["detail"]
        self.detail.update(phases={}, commands=[], python=sys.version.split()[0], worker=VERSION)
        self.meter = Meter([self.work, self.tmp], task.shape.memory)
        self.env: "Dict[str, str]" = {}
        self.log = record.Talk(os.path.join(sandbox, "worker.log"))
        self.streams: "Dict[str, CappedLog]" = {}  # stdout, stderr
        self.keeper: "Optional[Keeper]" = None

    def run(self) -> None:
        """Do all of it; `outcome` says how it went. Raises nothing."""
        try:
            self._phases()
            self.outcome.update(reason="ok", message="")
        except Failure as failure:
            self.outcome.update(reason=failure.reason, message=failure.message)
            self.outcome.update(exit=failure.exit, signal=failure.signal)
        except Stopped:
            self.outcome.update(reason="terminated", message="told to stop by " + self.stopping.name())
        except Exception as error:  # noqa: BLE001 - whatever happens here, the server is told
            self.outcome.update(reason="internal", message="{}: {}".format(type(error).__name__, error))
            self.log.traceback()
        left = process.kill_rest(5.0)
        if left:
            self.detail["left"] = left
        self._keep_checkpoint()
        if self.outcome["reason"] != "ok":
            self.detail["tail"] = {name: end(log.recent) for name, log in self.streams.items()}
        self.detail.update(self.meter.told_over_time())
        self._measure_node()
        self.outcome.update(ended=time.time(), usage=self.meter.usage())
        self.log.say("{reason}: {message}".format(**self.outcome))

    def _phases(self) -> None:
        with self._phase("prepare"):
            for directory in (self.work, self.tmp):
                clear(directory)
                os.makedirs(directory)
        with self._phase("stage-in"), self.stopping:
            self.outcome["inputs"] = stage.stage_in(self.task.inputs, self.work, self.sandbox)
            self._bring_checkpoint()
        with self._phase("setup"):
            self._set_up()
        with self._phase("run"):
            self._run_commands()
        with self._phase("stage-out"), self.stopping:
            records, unread = stage.stage_out(self.task.outputs, self.work, self.sandbox)
            self.outcome["outputs"] = records
            if unread:
                self.detail["unverified"] = unread

    def _bring_checkpoint(self) -> None:
        if self.task.checkpoint is None:
            return
        from . import checkpoint

        self.keeper = checkpoint.Keeper(self.task.checkpoint, self.work, self.sandbox, self.log)
        found = self.keeper.bring()
        if found:
            self.outcome["inputs"].append(found)
            self.detail["resumed"] = found["url"]

    def _keep_checkpoint(self) -> None:
        """Keep the checkpoint of a program that was stopped, for the next attempt."""
        if self.keeper is None:
            return
        from . import checkpoint

        reason = self.outcome["reason"]
        if reason in checkpoint.CUT_SHORT:
            with self._phase("checkpoint"):
                seconds = self.grace if reason in checkpoint.URGENT else 0.0
                kept = self.keeper.keep(seconds, self.meter.wall)
            if kept:
                self.detail["checkpoint"] = kept

    def _measure_node(self) -> None:
        """Say how fast the node is, now and then: after what took so long that it costs next to nothing."""
        if self.outcome["reason"] != "ok" or self.meter.wall < _LONG:
            return
        from . import speed

        found = speed.found(self.cache)
        if found:
            self.detail["speed"] = found

    def _phase(self, name: str) -> "record.Phase":
        self.log.say(name)
        return record.Phase(name, self.detail["phases"])

    def _set_up(self) -> None:
        spare = os.path.join(self.sandbox, "bin")
        self.env = surroundings.environment(self.task, os.environ, self.tmp, spare)
        around = self.task.environment
        if around.image:
            program.container(self.env["PATH"])
        if around.image and around.requirements:
            raise Failure("setup", "a task cannot have both a container image and a requirement file")
        if around.requirements:
            from . import virtualenv

            path = os.path.join(self.work, around.requirements)
            with self.stopping:
                home = virtualenv.virtual_environment(path, self.cache, self.env, self._build)
            virtualenv.activate(home, self.env)

    def _build(self, argv: "List[str]", env: "Dict[str, str]") -> None:
        """Run one step of the making of a virtual environment, its talk going to worker.log."""
        log = CappedLog(os.path.join(self.tmp, "build.log"), 1000000)
        limits = Limits(max(_BUILD_TIME, self.task.shape.time), grace=self.grace)
        self.stopping.__exit__()  # the supervisor sees signals by itself
        worker = Supervisor((log, log), Meter([], 0), limits, self.stopping, lambda: None)
        try:
            status = worker.run(argv[0], argv, env, self.work, "")
        except OSError as error:
            raise Failure("setup", "the virtual environment could not be made: {}".format(error)) from error
        except Failure as failure:
            if failure.reason == "time":
                raise Failure("setup", "the virtual environment was not made within an hour") from failure
            raise
        finally:
            worker.finish()
            self.log.add(log.path)
        self.stopping.__enter__()
        if status != 0:
            said = last_line(log.recent)
            raise Failure("setup", "the virtual environment could not be made: {}".format(said))

    def _run_commands(self) -> None:
        shape = self.task.shape
        for name in ("stdout", "stderr"):
            self.streams[name] = CappedLog(os.path.join(self.sandbox, name), self.task.log_limit)
        limits = Limits(shape.time, shape.memory, shape.disk, self.grace)
        worker = Supervisor(
            (self.streams["stdout"], self.streams["stderr"]), self.meter, limits, self.stopping, self.save_usage
        )
        try:
            self._watch_gpu(worker)
            if self.keeper:
                self.keeper.start()
            for index, command in enumerate(self.task.commands):
                self._run_command(index, command, worker, self.streams["stderr"])
        finally:
            left = worker.finish()
            if left:
                self.detail["left"] = left
        if self.stopping.asked:
            raise Stopped

    def _watch_gpu(self, worker: Supervisor) -> None:
        smi = surroundings.find("nvidia-smi", self.env["PATH"]) if self.task.shape.gpu else None
        if smi:
            from . import gpu

            worker.watch_gpu(gpu.GpuMeter(smi, self.env, self.sandbox))

    def _run_command(self, index: int, command: "spec.Command", worker: Supervisor, errors: CappedLog) -> None:
        env = dict(self.env, **command.variables)
        env.update(surroundings.told(self.task))
        said = program.words(command)
        mark = os.path.join(self.tmp, ".setup-{}".format(index))
        argv = program.wrap(said, self.task, self.sandbox, env["PATH"], mark)
        path = program.locate(argv[0], env["PATH"], self.work)
        start = time.monotonic()
        status: "Optional[int]" = None
        try:
            status = worker.run(path, argv, env, self.work, self._stdin(command))
        except OSError as error:
            raise program.not_started(path, self.work, error) from error
        finally:
            wall = round(time.monotonic() - start, 3)
            shown = None if status is None else _exit(status)
            self.detail["commands"].append({"argv0": said[0], "exit": shown, "wall": wall})
        if status:
            raise self._judge(said, status, mark, errors.recent)

    def _stdin(self, command: "spec.Command") -> str:
        if not command.stdin:
            return ""
        path = os.path.realpath(os.path.join(self.work, command.stdin))
        if not path.startswith(os.path.realpath(self.work) + os.sep):
            raise Failure("command", "stdin: {} leads out of the sandbox".format(command.stdin))
        if not os.path.isfile(path):
            raise Failure("command", "stdin: there is no file {} in the sandbox".format(command.stdin))
        return path

    def _judge(self, argv: "List[str]", status: int, mark: str, errors: bytes) -> Failure:
        """Say in words how a command failed."""
        around, code, shown = self.task.environment, _exit(status), program.display(argv)
        said = last_line(errors)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            hint = "; the node's memory may have run out" if number == 9 else ""
            text = "`{}` was killed by {}{}".format(shown, name_of(number), hint)
            return Failure("signal", text, signal=number)
        if around.image and said.startswith("FATAL:"):
            return Failure("command" if "executable file" in said else "setup", said, code)
        if around.setup and not os.path.exists(mark):
            text = "the setup script {} ended with exit code {}".format(around.setup, code)
            return Failure("setup", "{}: {}".format(text, said) if said else text, code)
        if around.setup and code in (126, 127) and argv[0] != "/bin/sh":
            text = "command not found: " if code == 127 else "cannot run "
            return Failure("command", text + argv[0], code)
        text = "`{}` ended with exit code {}{}".format(shown, code, program.shell_exit(code)[1])
        return Failure("exit", "{}: {}".format(text, said) if said else text, code)

    def save_usage(self) -> None:
        """Leave what was measured so far, for whoever finds the sandbox if the worker does not live to report."""
        plain = dict(self.meter.usage(), started=self.outcome["started"], at=time.time())
        plain.update(self.meter.told_over_time())
        try:
            record.write(os.path.join(self.sandbox, "usage.json"), plain)
        except OSError as error:
            self.log.say("usage.json: {}".format(error))


def perform(sandbox: str, cache: str, keep: bool, grace: float) -> int:
    """Run the order in `sandbox`; return 0 if an outcome was written, 2 if the order could not be understood."""
    stopping = Stopping()
    stopping.install()
    place = os.path.join(sandbox, "outcome.json")
    record.forget(sandbox)
    try:
        task = spec.read(os.path.join(sandbox, "task.json"))
    except spec.Malformed as wrong:
        if not (wrong.address and wrong.lease):
            sys.stderr.write("nunatak-worker: {}\n".format(wrong))
            return 2
        outcome = dict(
            record.blank(wrong.address, wrong.lease), reason="invalid", message=str(wrong), ended=time.time()
        )
        record.write(place, outcome, durable=True)
        return 0
    attempt = Attempt(task, sandbox, cache, grace, stopping)
    record.reserve(sandbox)
    attempt.run()
    record.release(sandbox)
    attempt.save_usage()
    if not keep:
        for name in ("work", "tmp", "bin"):
            clear(os.path.join(sandbox, name))
    record.write(place, attempt.outcome, durable=True)
    return 0


def _exit(status: int) -> int:
    """Return an exit code for a wait status, minus the signal number if it was a signal."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
