"""run.py: what it makes of a virtual environment, of Debian packages and of its children."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[4]
SCRIPT = TOP / "run.py"
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The script as a module, set up for an empty project folder."""
    spec = importlib.util.spec_from_file_location("run_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n', encoding="utf-8")
    monkeypatch.setattr(module, "TOP", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    return module


@pytest.fixture
def made(run, monkeypatch):
    """What the script would have made and installed; the environments are only pretended."""
    done = []

    def make(venv):
        done.append("make")
        run.venv_python(venv).parent.mkdir(parents=True, exist_ok=True)
        run.venv_python(venv).touch()

    monkeypatch.setattr(run, "make_venv", make)
    monkeypatch.setattr(run, "install_project", lambda _venv, extras: done.append(list(extras)))
    return done


class FakeRun:
    """Stands in for running commands: notes them, and answers from a table of (first words, outcomes)."""

    def __init__(self, **answers):
        self.commands = []
        self.answers = answers

    def __call__(self, command):
        self.commands.append(list(command))
        outcomes = self.answers.get(command[1], [])
        return outcomes.pop(0) if outcomes else (0, [])


# ---- the stamp


def test_a_changed_dependency_changes_the_fingerprint(run):
    text = '[project]\ndependencies = ["a>=1"]\n'
    assert run.project_fingerprint(text) != run.project_fingerprint(text.replace("a>=1", "a>=2"))


def test_a_changed_extra_changes_the_fingerprint(run):
    text = '[project.optional-dependencies]\ntest = ["a"]\n'
    assert run.project_fingerprint(text) != run.project_fingerprint(text.replace('"a"', '"b"'))


@pytest.mark.parametrize("addition", ["\n# a comment\n", "\n\n", "\n[tool.ruff]\nline-length = 88\n"])
def test_comments_and_tool_settings_do_not_change_the_fingerprint(run, addition):
    text = '[project]\ndependencies = ["a>=1"]'
    assert run.project_fingerprint(text) == run.project_fingerprint(text + addition)


def test_a_first_use_makes_the_environment_and_a_second_does_nothing(run, made):
    run.prepare({"test"})
    assert made == ["make", ["test"]]
    run.prepare({"test"})
    run.prepare(set())
    assert made == ["make", ["test"]]


def test_another_extra_is_added_to_those_already_there(run, made):
    run.prepare({"test"})
    run.prepare({"desktop"})
    assert made == ["make", ["test"], ["desktop", "test"]]


def test_a_changed_project_is_installed_again_into_the_same_environment(run, made):
    run.prepare({"test"})
    (run.TOP / "pyproject.toml").write_text('[project]\nname = "y"\n', encoding="utf-8")
    run.prepare(set())
    assert made == ["make", ["test"], ["test"]]


@pytest.mark.parametrize("key", ["python", "folder"])
def test_another_python_or_a_moved_checkout_makes_a_new_environment(run, made, key):
    run.prepare({"test"})
    stamp = run.VENV / run.STAMP_NAME
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), key: "other"}), encoding="utf-8")
    run.prepare(set())
    assert made == ["make", ["test"], "make", []]


@pytest.mark.parametrize("rest", ["{}", '{"python"', "[]", ""])
def test_a_half_made_environment_is_made_anew(run, made, rest):
    run.VENV.mkdir()
    (run.VENV / run.STAMP_NAME).write_text(rest, encoding="utf-8")
    run.prepare(set())
    assert made == ["make", []]


def test_an_environment_whose_interpreter_is_gone_is_made_anew(run, made):
    run.prepare(set())
    run.venv_python(run.VENV).unlink()
    run.prepare(set())
    assert made == ["make", [], "make", []]


def test_an_interrupted_installation_leaves_an_environment_that_is_made_anew(run, made, monkeypatch):
    run.prepare(set())

    def interrupt(_venv, _extras):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "install_project", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run.prepare({"test"})
    run.prepare(set())
    assert made == ["make", [], "make", []]


def test_a_folder_that_somebody_else_made_is_left_alone(run, made):
    run.VENV.mkdir()
    (run.VENV / "precious").touch()
    with pytest.raises(run.SetupError, match=r"not made by run\.py"):
        run.prepare(set())
    assert made == []
    assert [path.name for path in run.VENV.iterdir()] == ["precious"]


def test_making_anew_empties_the_folder_but_keeps_the_stamp_until_the_end(run, monkeypatch):
    run.write_stamp(run.VENV, {})
    (run.VENV / "lib" / "old").mkdir(parents=True)
    (run.VENV / "pyvenv.cfg").touch()
    seen = []

    def pretend(command):
        seen.append((command[1:], [path.name for path in run.VENV.iterdir()]))
        return 0, []

    monkeypatch.setattr(run, "run_quietly", pretend)
    run.make_venv(run.VENV)
    assert seen == [(["-m", "venv", str(run.VENV)], [run.STAMP_NAME])]


def test_two_first_uses_at_once_make_one_environment(run, made, monkeypatch):
    inside, go_on = threading.Event(), threading.Event()
    make = run.make_venv

    def slow_make(venv):
        inside.set()
        assert go_on.wait(20)
        make(venv)

    def say(message):
        if "waiting" in message:
            go_on.set()

    monkeypatch.setattr(run, "make_venv", slow_make)
    monkeypatch.setattr(run, "say", say)
    first = threading.Thread(target=run.prepare, args=(set(),))
    first.start()
    assert inside.wait(20)
    run.prepare(set())  # waits for the first, and then finds everything done
    first.join(20)
    assert made == ["make", []]


@POSIX
def test_a_set_up_command_that_outlives_the_script_keeps_the_lock(run, tmp_path):
    lock = tmp_path / "lock"
    with run.only_one(lock):
        orphan = subprocess.Popen(python_command("input()"), stdin=subprocess.PIPE, close_fds=False)
    with lock.open("a+b") as other, orphan:
        assert not run.try_lock(other)
        orphan.communicate(b"\n", timeout=30)
        assert run.try_lock(other)


# ---- what goes wrong


@pytest.mark.parametrize(
    ("line", "mend"),
    [
        ("OSError: [Errno 28] No space left on device", "disk space"),
        ("NewConnectionError: Temporary failure in name resolution", "network"),
        ("Could not fetch URL: SSLError CERTIFICATE_VERIFY_FAILED", "certificates"),
        ("E: dpkg was interrupted", "dpkg --configure -a"),
        ("ERROR: something unheard of", "lines above"),
    ],
)
def test_a_failure_shows_the_last_lines_and_how_to_mend_it(run, line, mend):
    text = str(run.failure("pip failed.", [*(f"line {n}" for n in range(50)), line]))
    assert line in text
    assert "line 49" in text
    assert "line 20" not in text
    assert mend in text.split("To mend it: ")[1]


def test_without_ensurepip_and_apt_the_user_is_told_what_to_install(run, monkeypatch):
    monkeypatch.setattr(run, "apt_works", lambda: False)
    with pytest.raises(run.SetupError, match=r"apt-get install python3\.\d+-venv"):
        run.add_ensurepip()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, "pip could not.\n  To mend it: try again.\n"),
        (PermissionError(13, "Permission denied"), "[Errno 13] Permission denied.\n  To mend it: copy the project"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device.\n  To mend it: free some disk"),
    ],
)
def test_a_failed_set_up_is_a_sentence_on_standard_error(run, monkeypatch, capsys, error, said):
    def fail(_extras):
        raise error or run.SetupError("pip could not.", "try again.")

    monkeypatch.setattr(run, "prepare", fail)
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["run.py", "echo", "PACS"])
    assert run.main() == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"run.py: {said}")


# ---- Debian packages


def test_only_packages_that_are_not_installed_are_absent(run):
    shown = [
        "orthanc installed",
        "dcmtk config-files",
        "libglib2.0-0t64 installed",
        "dpkg-query: no packages found matching xvfb",
    ]
    assert run.absent_packages(["orthanc", "dcmtk", "libglib2.0-0", "xvfb"], lambda _: (1, shown)) == ["dcmtk", "xvfb"]


def test_package_lists_at_hand_are_used_before_new_ones_are_fetched(run):
    fake = FakeRun()
    run.install_packages(["dcmtk"], fake)
    assert [command[1] for command in fake.commands] == ["install"]
    assert "--no-install-recommends" in fake.commands[0]


def test_package_lists_are_fetched_when_those_at_hand_do_not_do(run):
    fake = FakeRun(install=[(100, ["E: Unable to locate package dcmtk"]), (0, [])])
    run.install_packages(["dcmtk"], fake)
    assert [command[1] for command in fake.commands] == ["install", "update", "install"]


def test_a_failing_apt_is_told_with_its_last_words(run):
    fake = FakeRun(install=[(100, ["E: one"]), (100, ["E: Could not resolve host"])])
    with pytest.raises(run.SetupError, match=r"E: Could not resolve host(?s:.)*network"):
        run.install_packages(["dcmtk"], fake)


@pytest.fixture
def debian(run, monkeypatch):
    """Pretend a Debian where the given packages are absent; give the names of what is done."""
    done = []
    monkeypatch.setattr(run, "is_debian", lambda: True)
    monkeypatch.setattr(run, "install_packages", lambda names: done.append(list(names)))
    monkeypatch.setattr(run, "stop_orthanc_service", lambda: done.append("stop"))

    def pretend(absent, *, root):
        monkeypatch.setattr(run, "absent_packages", lambda _names: absent)
        monkeypatch.setattr(run, "apt_works", lambda: root)
        run.add_test_peers()
        return done

    return pretend


def test_root_gets_the_missing_peers_and_the_service_is_stopped(debian):
    assert debian(["orthanc", "xvfb"], root=True) == [["orthanc", "xvfb"], "stop"]


def test_a_service_that_was_there_before_is_not_stopped(debian):
    assert debian(["dcmtk"], root=True) == [["dcmtk"]]


def test_nothing_is_done_when_nothing_is_missing(debian, capsys):
    assert debian([], root=True) == []
    assert capsys.readouterr().err == ""


def test_without_root_the_missing_packages_are_named(debian, capsys):
    assert debian(["dcmtk", "xvfb"], root=False) == []
    assert "sudo apt-get install dcmtk xvfb" in capsys.readouterr().err


def test_an_apt_failure_does_not_stop_the_tests(run, debian, monkeypatch, capsys):
    def fail(_names):
        raise run.SetupError("apt-get could not.", "connect.")

    monkeypatch.setattr(run, "install_packages", fail)
    assert debian(["orthanc"], root=True) == ["stop"]
    assert "apt-get could not." in capsys.readouterr().err


# ---- commands


@pytest.fixture
def children(run, monkeypatch):
    """The commands that would have been run; each fails if its second word is in the returned set."""
    run.failing = set()
    commands = []

    def pretend(command, cwd=None):
        commands.append(list(command[2:]))
        return 3 if command[2] in run.failing else 0

    monkeypatch.setattr(run, "run_child", pretend)
    monkeypatch.setattr(run, "hand_over", pretend)
    monkeypatch.setattr(run, "add_test_peers", lambda: None)
    monkeypatch.setattr(run, "add_missing", lambda *_: None)
    monkeypatch.setattr(run, "prepare", commands.append)
    return commands


def test_test_runs_linters_types_and_tests_with_pytest_last(run, children):
    assert run.run_command(["test", "-k", "store"]) == 0
    assert children == [
        {"test"},
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["mypy"],
        ["pytest", "-k", "store"],
    ]


@pytest.mark.parametrize(("failing", "code"), [("ruff", 1), ("mypy", 1), ("pytest", 3)])
def test_a_failing_step_hides_no_other_and_fails_the_whole(run, children, failing, code, capsys):
    run.failing.add(failing)
    assert run.run_command(["test"]) == code
    assert [words[0] for words in children[-2:]] == ["pytest", "pytest"]
    assert "--ignore" in children[-2]
    assert children[-2][-1] == children[-1][-1] == "Testing/Python/gui"  # apart, and nothing twice
    out, err = capsys.readouterr()
    assert out == ""
    assert ("nothing" in err) == (failing == "pytest")


@pytest.mark.parametrize(
    ("words", "extras"),
    [
        (["demo"], {"desktop"}),
        (["demo", "--theme", "dark"], {"desktop"}),
        (["demo", "--headless"], set()),
        (["demo", "--json", "--headless"], set()),
        (["gui"], {"desktop"}),
        (["gui", "--database", "D", "--config", "F"], {"desktop"}),
        (["--database", "D", "gui"], {"desktop"}),
        (["--json", "demo"], {"desktop"}),
        (["--json", "demo", "--headless"], set()),
        (["bench", "gui"], {"test"}),
        (["bench", "get"], {"test"}),
        (["screenshots", "pictures"], {"desktop"}),
        (["echo", "gui"], set()),
        (["--version"], set()),
        (["--database", "D", "echo", "demo"], set()),
    ],
)
def test_every_other_word_goes_to_the_program(run, children, words, extras):
    assert run.run_command(words) == 0
    assert children == [extras, ["VisualDICOMBrowserLib", *words]]


def test_soak_runs_the_tests_of_that_mark(run, children):
    assert run.run_command(["soak", "-x"]) == 0
    assert children == [{"test"}, ["pytest", "-m", "soak", "-x"]]


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_sets_nothing_up(run, children, words, capsys):
    assert run.run_command(words) == 0
    assert children == []
    assert "usage: python3 run.py COMMAND" in capsys.readouterr().out


# ---- children


def python_command(program):
    return [sys.executable, "-c", program]


def test_set_up_output_goes_to_standard_error_and_only_what_is_worth_showing(run, capsys):
    program = "import sys; print('Collecting a'); print('noise'); print('WARNING: b', file=sys.stderr); sys.exit(7)"
    code, lines = run.run_quietly(python_command(program), show=("Collecting", "WARNING"))
    assert code == 7
    assert sorted(lines) == ["Collecting a", "WARNING: b", "noise"]
    out, err = capsys.readouterr()
    assert out == ""
    assert sorted(err.splitlines()) == ["  Collecting a", "  WARNING: b"]


def test_the_exit_code_of_a_child_is_passed_on(run):
    assert run.run_child(python_command("raise SystemExit(5)")) == 5


@POSIX
def test_a_child_that_a_signal_ended_gives_128_and_its_number(run):
    assert run.run_child(python_command("import os; os.kill(os.getpid(), 9)")) == 137


@POSIX
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_child_too_and_shows_no_traceback(tmp_path, number, code):
    """Like a terminal, the test sends SIGINT to both."""
    child = (
        "import os, signal; signal.signal(signal.SIGINT, signal.SIG_DFL);print(os.getpid(), flush=True); signal.pause()"
    )
    program = (
        f"import sys; sys.path.insert(0, {str(TOP)!r}); import run;"
        f"run.run_command = lambda words: run.run_child([sys.executable, '-c', {child!r}]);"
        "sys.exit(run.main())"
    )
    parent = subprocess.Popen(
        python_command(program), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with parent:
        pid = int(parent.stdout.readline())
        parent.send_signal(number)
        if number == signal.SIGINT:
            os.kill(pid, number)
        _, err = parent.communicate(timeout=30)
    assert "Traceback" not in err
    assert parent.returncode == code
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_script_is_understood_by_old_pythons_that_it_has_to_refuse():
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 7))
    futures = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    assert futures == []
