"""`tfplus agent install`: what it writes, says and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tfplus.cli.main import app
from tfplus_agent.install import agent_command, placing, termux, unit

UNIT = "systemd/user/tfplus-agent.service"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of one's own, with data; what a service could not see in /tmp it may see here."""
    monkeypatch.setattr(unit, "_PRIVATE", ())
    monkeypatch.setattr(agent_command, "program", lambda: ("/opt/tfplus/bin/tfplus",))
    monkeypatch.setattr(placing, "SYSTEM_UNITS", tmp_path / "system")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.npz").touch()
    return tmp_path


def install(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["agent", "install", *arguments])


def words(result: Result) -> str:
    return " ".join(result.stderr.split())


def test_a_unit_of_the_user(home: Path) -> None:
    done = install("--user", "--name", "pi-3", "--data", "d.npz", "--insecure", "--threads", "2")
    assert done.exit_code == 0, done.output
    lines = (home / "config" / UNIT).read_text().splitlines()
    (command,) = (line for line in lines if line.startswith("ExecStart="))
    state = home / "state/tfplus/pi-3"
    assert command.removeprefix("ExecStart=").split() == [
        *("/opt/tfplus/bin/tfplus", "agent", "--data", f"{home}/d.npz", "--name", "pi-3"),
        *("--insecure", "--threads", "2", "--state-dir", str(state)),
    ]
    # systemd makes no namespace around a directory that is not there.
    assert state.is_dir()
    assert "systemctl --user enable tfplus-agent" in words(done)
    assert "loginctl enable-linger" in words(done)


def test_uninstalled_with_the_link_that_starts_it_and_nothing_else(home: Path) -> None:
    install("--user", "--name", "a", "--data", "d.npz")
    file = home / "config" / UNIT
    link = file.parent / "default.target.wants" / file.name
    link.parent.mkdir()
    link.symlink_to(file)
    done = install("--user", "--uninstall")
    assert done.exit_code == 0, done.output
    assert not file.exists()
    assert not link.is_symlink()
    assert (home / "state/tfplus/a").is_dir()
    assert "systemctl --user stop tfplus-agent" in words(done)
    assert install("--user", "--uninstall").exit_code == 2


def test_a_strangers_unit_stays(home: Path) -> None:
    file = home / "config" / UNIT
    file.parent.mkdir(parents=True)
    file.write_text("[Service]\nExecStart=/bin/true\n")
    for arguments in (["--data", "d.npz"], ["--uninstall"]):
        done = install("--user", *arguments)
        assert done.exit_code == 2
        assert "not of `tfplus agent install`" in words(done)
    assert "/bin/true" in file.read_text()


def test_a_unit_of_the_system(home: Path) -> None:
    done = install("--system", "--run-as", "nobody", "--name", "b", "--data", "d.npz")
    assert done.exit_code == 0, done.output
    text = (home / "system/tfplus-agent.service").read_text()
    assert "User=nobody\n" in text
    assert "--state-dir /var/lib/tfplus/b\n" in text
    assert "sudo systemctl enable tfplus-agent" in words(done)


def test_a_script_for_termux(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(termux, "HOME", home / "gone")
    refused = install("--termux", "--data", "d.npz")
    assert refused.exit_code == 2
    assert "Termux's home cannot be seen" in words(refused)
    monkeypatch.setattr(termux, "HOME", home)
    assert install("--termux", "--data", "d.npz").exit_code == 0
    assert (home / ".termux/boot/tfplus-agent").stat().st_mode & 0o777 == 0o700


def test_print_writes_nothing(home: Path) -> None:
    done = install("--user", "--data", "not-yet.npz", "--name", "a", "--print")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(unit.MARK)
    assert [p.name for p in home.iterdir()] == ["d.npz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", "--system", "--data", "d.npz"], "give one of them"),
        (["--user", "--data", "gone.npz"], "gone.npz: no such file"),
        (["--user"], "Missing option '--data'"),
        (["--user", "--data", "d.npz", "--colour", "red"], "No such option: --colour"),
        (["--user", "--data", "d.npz", "--name", "a b"], "--name 'a b'"),
        (["--user", "--data", "d.npz", "--tls-dir", "none"], "none/ca.pem: no such file"),
        (["--system", "--data", "d.npz"], "--run-as USER"),
        (["--system", "--data", "d.npz", "--run-as", "nobody-here"], "no such user"),
        (["--system", "--data", "d.npz", "--run-as", "root"], "no rights of root"),
        (["--user", "--data", "d.npz", "--service", "../a"], "--service '../a'"),
        (["--termux", "--uninstall", "--service", "$(id)"], "--service '$(id)'"),
        (["--user", "--uninstall", "--data", "d.npz"], "--uninstall goes without"),
    ],
)
def test_what_it_refuses(home: Path, arguments: list[str], message: str) -> None:
    done = install(*arguments)
    assert done.exit_code in (2, 3)
    assert message in words(done)
    assert not (home / "config").exists()


def test_options_stand_after_the_command(home: Path) -> None:
    done = CliRunner().invoke(app, ["agent", "--data", "d.npz", "install", "--data", "e.npz"])
    assert done.exit_code == 2
    assert "expected every option after 'install'" in words(done)
