"""The file of tokens: only hashes are kept, changes are followed, nothing else is accepted."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from serving_fixtures import wait_until
from structlog.testing import capture_logs

from expertrag.api.access import Access
from expertrag.api.errors import Conflict, InvalidArgument, NotFound, Unauthenticated
from expertrag.api.types import GateMode
from expertrag.auth import Authenticator, Quota, Scope
from expertrag.auth.token_file import ServedTokens, TokenFile

READ = frozenset({Scope.READ})


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


def bearer(text: str) -> list[tuple[str, str | bytes]]:
    return [("user-agent", "x"), ("authorization", f"Bearer {text}")]


def test_a_token_says_who_calls(file: TokenFile) -> None:
    access = Access("acme", frozenset({"hr", "legal"}))
    made = file.create("ci", READ, access=access, quota=Quota(requests=5))
    caller = Authenticator(file.path).caller(bearer(made.text))
    assert caller.id == f"token:{made.token.id}"
    assert (caller.scopes, caller.access) == (READ, access)
    assert caller.quota == Quota(requests=5)
    assert made.token in file.tokens()


def test_a_token_may_have_a_mode_and_older_files_have_none(file: TokenFile) -> None:
    plain, strict = file.create("ci", READ), file.create("hr", READ, mode=GateMode.STRICT)
    stored = json.loads(file.path.read_text())
    del stored["tokens"][0]["mode"]  # as an older version wrote it
    file.path.write_text(json.dumps(stored))
    renewed = file.rotate(strict.token.id, grace=timedelta(hours=1))
    served = Authenticator(file.path)
    modes = [served.caller(bearer(made.text)).mode for made in (plain, strict, renewed)]
    assert modes == [None, GateMode.STRICT, GateMode.STRICT]


def test_the_secret_is_not_in_the_file_and_others_cannot_read_it(file: TokenFile) -> None:
    made = file.create("ci", READ)
    assert made.text.split("_")[2] not in file.path.read_text()
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.path.chmod(0o644)
    with pytest.raises(Conflict, match="chmod 600"):
        file.tokens()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text.replace("ert_", "ert_0"),
        lambda text: text.rsplit("_", 1)[0],
        lambda text: "",
        lambda text: text + "x",
        lambda text: "ert_aaaaaaaaaa_" + text.split("_", 2)[2],
    ],
)
def test_another_text_is_refused(file: TokenFile, damage: object) -> None:
    made = file.create("ci", READ)
    wrong = damage(made.text)  # type: ignore[operator]
    with pytest.raises(Unauthenticated):
        Authenticator(file.path).caller(bearer(wrong))


def test_a_call_without_a_token_is_told_what_to_set(file: TokenFile) -> None:
    file.create("ci", READ)
    with pytest.raises(Unauthenticated, match="EXPERTRAG_TOKEN"):
        Authenticator(file.path).caller([("authorization", "Basic Zm9v")])


def test_an_expired_token_is_refused(file: TokenFile) -> None:
    made = file.create("ci", READ, lifetime=timedelta(seconds=2))
    served = ServedTokens(file.path)
    assert served.caller(made.text) is not None
    expires = made.token.expires
    assert expires is not None
    wait_until(lambda: datetime.now(UTC) >= expires)
    assert served.caller(made.text) is None


def test_a_running_server_follows_the_file(file: TokenFile) -> None:
    first = file.create("first", READ)
    served = ServedTokens(file.path)
    second = file.create("second", READ)
    wait_until(lambda: served.caller(second.text) is not None)
    file.revoke(first.token.id)
    wait_until(lambda: served.caller(first.text) is None)
    file.path.write_text("{")  # damaged: what is known stays
    with pytest.raises(Conflict, match="damaged"):
        file.tokens()
    wait_until(lambda: served._stamp is not None)
    assert served.caller(second.text) is not None
    file.path.unlink()
    wait_until(lambda: served.caller(second.text) is None)


def test_a_changed_file_that_cannot_be_used_is_logged_once(file: TokenFile) -> None:
    made = file.create("ci", READ)
    served = ServedTokens(file.path)
    with capture_logs() as lines:
        file.revoke(made.token.id)
        file.path.chmod(0o644)  # the server does not see that the token is revoked
        wait_until(lambda: served.caller(made.text) is not None and bool(lines))
        assert served.caller(made.text) is not None
        served._looked = 0.0
        assert served.caller(made.text) is not None
    (line,) = lines
    assert line["log_level"] == "error"
    assert "chmod 600" in line["reason"]
    file.path.chmod(0o600)
    wait_until(lambda: served.caller(made.text) is None)


def test_rotation_keeps_the_old_token_for_a_while(file: TokenFile) -> None:
    old = file.create("ci", READ, access=Access("acme"), lifetime=timedelta(days=30))
    new = file.rotate(old.token.id, grace=timedelta(hours=1))
    served = ServedTokens(file.path)
    assert served.caller(old.text) is not None
    assert served.caller(new.text) is not None
    kept, added = file.tokens()
    assert kept.expires is not None and added.expires is not None
    assert kept.expires - datetime.now(UTC) < timedelta(hours=1, seconds=1)
    assert added.expires - added.created == timedelta(days=30)
    assert (added.name, added.access) == ("ci", Access("acme"))
    with pytest.raises(NotFound):
        file.rotate("aaaaaaaaaa", grace=timedelta())


def test_a_writer_must_see_all_documents(file: TokenFile) -> None:
    with pytest.raises(InvalidArgument, match="see all documents"):
        file.create("ci", frozenset({Scope.WRITE}), access=Access(labels=frozenset({"hr"})))
    with pytest.raises(InvalidArgument, match="tenant"):
        file.create("ci", READ, access=Access("Acme/../x"))
    with pytest.raises(InvalidArgument, match="name"):
        file.create("", READ)
    assert not file.path.exists()


def test_two_processes_lose_no_token(file: TokenFile) -> None:
    script = (
        "import sys; from pathlib import Path; from expertrag.auth import Scope;"
        "from expertrag.auth.token_file import TokenFile;"
        "[TokenFile(Path(sys.argv[1])).create(sys.argv[2], frozenset({Scope.READ}))"
        " for _ in range(20)]"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(file.path), name]) for name in "ab"
    ]
    assert [child.wait() for child in children] == [0, 0]
    assert len(file.tokens()) == 40
    assert json.loads(file.path.read_text())["format"] == 1
