#!/usr/bin/env python3
"""Set the project up on first use, then run one of its commands; ``python3 run.py`` lists them.

Standard library only. The first use makes ``.venv`` beside this file; later ones find it ready by a stamp in
it and start at once. All messages go to standard error, so that ``--json`` keeps standard output to itself.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any

# Older Pythons come as far as this line: up to here and in its syntax this file keeps to Python 3.6.
if sys.version_info < (3, 10):  # noqa: UP036
    sys.exit("run.py: this is Python {}.{}; Python 3.10 or later is needed.".format(*sys.version_info[:2]))

TOP = Path(__file__).resolve().parent
VENV = TOP / ".venv"
STAMP_NAME = "run-stamp.json"

#: The extra of pyproject.toml that a command needs beyond the package itself; see :func:`extras_for`.
EXTRAS = {"test": "test", "soak": "test", "bench": "test", "gui": "desktop", "screenshots": "desktop"}

#: Debian packages for the tests: the DICOM peers, then a display and what Qt's wheels expect of the system.
PEER_PACKAGES = ("orthanc", "orthanc-dicomweb", "dcmtk")
DISPLAY_PACKAGES = (
    "xvfb",
    "xauth",
    "libegl1",
    "libgl1",
    "libglib2.0-0",
    "libdbus-1-3",
    "libfontconfig1",
    "libxkbcommon0",
    "libxkbcommon-x11-0",
    "libxcb-cursor0",
    "libxcb-icccm4",
    "libxcb-keysyms1",
    "libxcb-shape0",
    "libxtst6",
)

HELP = """\
usage: python3 run.py COMMAND [ARGUMENT ...]

  demo                 the window on an embedded PACS with sample studies
  demo --headless      the same without a window: search, thumbnails, retrieve, summary
  gui                  the window on your own servers and images
  test [PYTEST ARG]    ruff, mypy and the test suite; as root on Debian or Ubuntu installs the peers too
  soak [PYTEST ARG]    the long-running tests
  bench catalogue      searching in 20,000 patients with 2,000,000 instances, and in twice as many
  bench get            C-GET beside stock pynetdicom and DCMTK
  bench send           C-STORE beside DCMTK
  bench listen         receiving beside DCMTK
  bench gui            how quickly the window opens, scrolls and answers
  screenshots [DIR]    make the pictures of the README
  WORD ...             every other word goes to the program (echo, query, ...): `python3 run.py query --help`

The first use makes .venv beside run.py. Exit code: 0 done, 1 failed or incomplete, 2 wrong usage.
"""

#: All tests, in three processes at a time: on two cores, since many of them wait for a peer. Those of the window run
#: apart: with Qt's objects in the same process, Python's collector of garbage may delete one of them on a thread of an
#: engine under test, which crashes Qt.
_WORKERS = ["--numprocesses", "3", "--dist", "loadfile"]
ALL_TESTS = [[*_WORKERS, "--ignore", "Testing/Python/gui"], [*_WORKERS, "Testing/Python/gui"]]

Outcome = tuple[int, list[str]]
Run = Callable[[Sequence[str]], Outcome]


class SetupError(Exception):
    """A step of the set-up failed; the second sentence says how to mend it."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(f"{message}\n  To mend it: {mend}")


def say(message: str) -> None:
    """Tell the user on standard error."""
    print(f"run.py: {message}", file=sys.stderr, flush=True)


# ---- child processes


def run_quietly(command: Sequence[str], show: Sequence[str] = ()) -> Outcome:
    """Run a set-up step and give its exit code and last lines; lines that begin like *show* are passed on."""
    tail: deque[str] = deque(maxlen=200)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        encoding="utf-8",
        errors="replace",
        close_fds=False,  # hands on the lock of only_one
    ) as child:
        try:
            for line in child.stdout or ():
                tail.append(line.rstrip())
                if line.lstrip().startswith(tuple(show)):
                    print(f"  {line.strip()[:150]}", file=sys.stderr, flush=True)
        except BaseException:
            child.terminate()
            raise
    return child.returncode, list(tail)


def run_child(command: Sequence[str], cwd: Path | None = None) -> int:
    """Run *command* with our own standard streams; never leave it behind. 128 + n if signal n ended it."""
    with subprocess.Popen(command, cwd=cwd) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            stop(child, patience=10)  # the terminal sent it the signal too: let it tidy up
            raise
        except BaseException:
            stop(child, patience=0)
            raise
    return code if code >= 0 else 128 - code


def stop(child: "subprocess.Popen[Any]", patience: float) -> None:
    """End *child*: wait *patience* seconds, ask, wait 5 s, kill. A second Ctrl-C shortens the waiting."""
    try:
        for pause, ask in ((patience, child.terminate), (5, child.kill)):
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                child.wait(pause)
            ask()
    finally:
        child.kill()


def hand_over(command: Sequence[str]) -> int:
    """Become *command* where the system can (its exit code and its signals are then ours), else run it."""
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(command[0], list(command))  # noqa: S606
    return run_child(command)


# ---- the virtual environment


def venv_python(venv: Path) -> Path:
    """Where the interpreter of *venv* lies on this system."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def project_fingerprint(pyproject: str) -> str:
    """Hash the sections of pyproject.toml that decide what is installed; comments and blank lines do not count.

    Read by lines, because Python 3.10 has no TOML parser.
    """
    kept = []
    counts = False
    for line in map(str.strip, pyproject.splitlines()):
        header = re.fullmatch(r"\[+([\w.\- ]+)\]+", line)
        if header:
            counts = header[1].startswith(("build-system", "project", "tool.setuptools"))
        if counts and line and not line.startswith("#"):
            kept.append(line)
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()


def current_stamp(extras: set[str]) -> dict[str, Any]:
    """Describe the environment that this checkout and this Python need."""
    return {
        "python": "{}.{}".format(*sys.version_info[:2]),
        "folder": str(TOP),
        "project": project_fingerprint((TOP / "pyproject.toml").read_text(encoding="utf-8")),
        "extras": sorted(extras),
    }


def read_stamp(venv: Path) -> dict[str, Any]:
    """Give the stamp of a finished environment, and ``{}`` for none, a half-made or a broken one.

    The stamp is ``{}`` on disk from before the first change until the last one is done.

    :raises SetupError: the folder holds something that this script did not make.
    """
    stamp = venv / STAMP_NAME
    if not stamp.exists():
        if venv.exists() and any(venv.iterdir()):
            raise SetupError(f"{venv} was not made by run.py.", "move it away, or delete it.")
        return {}
    try:
        found = json.loads(stamp.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) and venv_python(venv).exists() else {}


def write_stamp(venv: Path, stamp: dict[str, Any]) -> None:
    """Write the stamp whole or not at all."""
    venv.mkdir(exist_ok=True)
    fresh = venv / f"{STAMP_NAME}.new"
    fresh.write_text(json.dumps(stamp), encoding="utf-8")
    fresh.replace(venv / STAMP_NAME)


def next_step(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Tell what brings the environment *found* to the one *wanted*: ``nothing``, ``install`` or ``make``."""
    if any(found.get(key) != wanted[key] for key in ("python", "folder")):
        return "make"
    if found.get("project") == wanted["project"] and set(wanted["extras"]) <= set(found.get("extras", ())):
        return "nothing"
    return "install"


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold an operating-system lock; wait while another process has it.

    It ends with this process at the latest; set-up commands inherit it, because after a ``kill -9`` of this
    process they may go on writing for a while.
    """
    with lock.open("a+b") as handle:
        os.set_inheritable(handle.fileno(), True)
        for attempt in range(sys.maxsize):
            if try_lock(handle):
                break
            if attempt == 0:
                say("another run.py is setting up .venv; waiting for it")
            time.sleep(0.2)
        yield


def try_lock(handle: IO[bytes]) -> bool:
    """Lock the file, or tell that another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415

            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def prepare(extras: set[str]) -> None:
    """Make or complete ``.venv`` so that the package and *extras* are in it; nothing to do costs nothing.

    :raises SetupError: with the way to mend it.
    """
    wanted = current_stamp(extras)
    if next_step(read_stamp(VENV), wanted) == "nothing":
        return
    with only_one(TOP / ".venv.lock"):
        found = read_stamp(VENV)
        step = next_step(found, wanted)
        if step == "nothing":
            return
        write_stamp(VENV, {})
        if step == "make":
            make_venv(VENV)
        else:
            wanted["extras"] = sorted(extras | set(found.get("extras", ())))
        install_project(VENV, wanted["extras"])
        write_stamp(VENV, wanted)
        say("ready")


def make_venv(venv: Path) -> None:
    """Fill *venv* anew; whatever an older or interrupted run left in it goes first, the stamp stays."""
    if Path(sys.prefix).resolve() == venv:
        raise SetupError(f"{venv} must be made anew, but this Python runs from it.", "deactivate it, then try again.")
    say("making .venv with Python {}.{}".format(*sys.version_info[:2]))
    for entry in venv.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != STAMP_NAME:
            entry.unlink()
    if importlib.util.find_spec("ensurepip") is None:
        add_ensurepip()
    # inside another virtual environment the interpreter below it is the one to build on
    python = getattr(sys, "_base_executable", sys.executable)
    code, lines = run_quietly([python, "-m", "venv", str(venv)])
    if code:
        raise failure("Making .venv failed.", lines)


def add_ensurepip() -> None:
    """Install the part of Python's venv that Debian packs apart.

    :raises SetupError: this user cannot, or apt-get failed.
    """
    package = "python{}.{}-venv".format(*sys.version_info[:2])
    if not apt_works() or sys.base_prefix != "/usr":
        raise SetupError(
            "This Python cannot make virtual environments: its module ensurepip is missing.",
            f"on Debian and Ubuntu `sudo apt-get install {package}`, elsewhere install Python with pip.",
        )
    install_packages([package])
    importlib.invalidate_caches()


def install_project(venv: Path, extras: Sequence[str]) -> None:
    """Let pip install this checkout (editable) with *extras*. pip's own configuration decides from where."""
    what = f"{TOP}[{','.join(extras)}]" if extras else str(TOP)
    say(f"installing the project{''.join(f' and its extra {extra}' for extra in extras)} into .venv")
    command = [str(venv_python(venv)), "-m", "pip", "install", "--editable", what]
    code, lines = run_quietly(command, show=("Collecting", "Downloading", "Installing", "WARNING: Retrying"))
    if code:
        raise failure("pip could not install what the project needs.", lines)


def failure(message: str, lines: Sequence[str]) -> SetupError:
    """Make an error of what a command said last."""
    said = "\n".join(f"  | {line}" for line in lines[-15:] if line)
    return SetupError(f"{message} The last lines were:\n{said}", mend_for("\n".join(lines)))


def mend_for(text: str) -> str:
    """Tell the likeliest way to mend what *text* complains of."""
    mends = {
        r"No space left|disk full": f"free some disk space ({shutil.disk_usage(TOP).free >> 20} MB are left).",
        r"CERTIFICATE_VERIFY|SSLError": "tell pip which certificates to trust (pip config set global.cert FILE).",
        r"name resolution|not resolve|to resolve|NewConnection|timed out|refused|unreachable|ProxyError|to fetch": (
            "connect this computer to the network, or set pip's proxy or index (`pip config`); then run it again."
        ),
        r"dpkg was interrupted": "run `dpkg --configure -a`; then run it again.",
        r"get lock": "let the other package manager finish; then run it again.",
        r"Read-only|Permission denied": "copy the project to a folder that you may write to, or mend its permissions.",
    }
    return next((mend for pattern, mend in mends.items() if re.search(pattern, text)), "see the lines above.")


# ---- Debian packages for the tests


def apt_works() -> bool:
    """Tell whether this process may install Debian packages."""
    return is_debian() and sys.platform != "win32" and os.geteuid() == 0


def is_debian() -> bool:
    """Tell whether apt-get manages this system."""
    return bool(shutil.which("apt-get") and shutil.which("dpkg-query"))


def absent_packages(names: Sequence[str], run: Run = run_quietly) -> list[str]:
    """Give those of *names* that are not installed; ``libX`` counts as installed where ``libXt64`` took its place."""
    candidates = [candidate for name in names for candidate in (name, f"{name}t64")]
    _, lines = run(["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *candidates])
    installed = {line.split()[0] for line in lines if line.endswith(" installed")}
    return [name for name in names if not {name, f"{name}t64"} & installed]


def install_packages(names: Sequence[str], run: Run | None = None) -> None:
    """Install Debian packages; the package lists are fetched only if it does not work with those at hand.

    :raises SetupError: apt-get failed.
    """
    run = run or (lambda command: run_quietly(command, show=("Fetched", "Setting up")))
    say(f"apt-get install {' '.join(names)}")
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", *names]
    code, lines = run(install)
    if code:
        say("apt-get update")
        run(["apt-get", "update"])
        code, lines = run(install)
    if code:
        raise failure("apt-get could not install the packages.", lines)


def stop_orthanc_service(run: Run = run_quietly) -> None:
    """Stop the service that Debian's package orthanc starts, now and at boot: the tests start their own."""
    if Path("/run/systemd/system").is_dir():
        run(["systemctl", "disable", "--now", "orthanc.service"])
    elif Path("/etc/init.d/orthanc").exists():
        run(["/etc/init.d/orthanc", "stop"])
        run(["update-rc.d", "orthanc", "disable"])


def add_test_peers() -> None:
    """Install the peers and the display that are missing; where that cannot be, say so: their tests are skipped."""
    add_missing(PEER_PACKAGES + DISPLAY_PACKAGES, "without these, tests are skipped and measurements fail")


def add_missing(names: Sequence[str], without: str) -> None:
    """Install those of the Debian packages that are missing; where that cannot be, say what it means."""
    if not is_debian():
        return
    absent = absent_packages(names)
    if absent and not apt_works():
        say(f"{without}: sudo apt-get install {' '.join(absent)}")
    elif absent:
        try:
            install_packages(absent)
        except SetupError as error:
            say(str(error))
        finally:
            if "orthanc" in absent:
                stop_orthanc_service()


# ---- commands


def test(arguments: Sequence[str]) -> int:
    """Run the linters, the type checker and the tests, all of them whatever fails; pytest's summary comes last."""
    python = str(venv_python(VENV))
    failed = []
    for step in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        say(" ".join(step))
        if run_child([python, "-m", *step], cwd=TOP):
            failed.append(" ".join(step))
    say(f"pytest (failed so far: {', '.join(failed) or 'nothing'})")
    runs = [list(arguments)] if arguments else ALL_TESTS
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the tests start hundreds of programs, and each would compile
    codes = [run_child([python, "-m", "pytest", *run], cwd=TOP) for run in runs]
    return next(filter(None, codes), 1 if failed else 0)


def extras_for(words: Sequence[str]) -> set[str]:
    """Give the extras that a command line needs."""
    command = from_command(words)
    if not command:
        return set()
    if command[0] == "demo" and "--headless" not in command:
        return {"desktop"}
    return {EXTRAS[command[0]]} if command[0] in EXTRAS else set()


def from_command(words: Sequence[str]) -> Sequence[str]:
    """Leave out the options that the program takes before its command."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in ("--database", "--config") else 1
    return words[at:]


def run_command(words: Sequence[str]) -> int:
    """Do what the command line says; give the exit code."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    extras = extras_for(words)
    prepare(extras)
    if "desktop" in extras:
        add_missing(DISPLAY_PACKAGES, "without these the window may not open")
    if "test" in extras:
        add_test_peers()
    python = str(venv_python(VENV))
    if words[0] == "test":
        return test(words[1:])
    if words[0] == "soak":
        return run_child([python, "-m", "pytest", "-m", "soak", *words[1:]], cwd=TOP)
    return hand_over([python, "-m", "VisualDICOMBrowserLib", *words])


def main() -> int:
    """Run the command line; every expected trouble becomes a sentence and an exit code."""

    def terminated(_number: int, _frame: FrameType | None) -> None:
        sys.exit(143)

    signal.signal(signal.SIGTERM, terminated)
    try:
        return run_command(sys.argv[1:])
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except SetupError as error:
        say(str(error))
    except OSError as error:
        say(str(SetupError(f"{error}.", mend_for(str(error)))))
    return 1


if __name__ == "__main__":
    sys.exit(main())
