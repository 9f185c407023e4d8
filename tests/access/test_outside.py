"""People whom an outside issuer vouches for: its keys rotate; what is not signed by it, for us and now is refused."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app import clock
from app.api.parts import DATABASE
from app.main import create_app
from app.migrating import upgrade
from app.people import service as people
from app.settings import Settings
from app.storage import Database
from tests.conftest import SECRET, Api, app_of, new_clinic

EMAIL = "ana@example.org"


class Issuer:
    """A small OpenID Connect issuer with a discovery document and keys."""

    def __init__(self) -> None:
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        self.asked = 0
        self.rotate("first")
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += self.path == "/keys"
                body = json.dumps(issuer.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def rotate(self, kid: str) -> None:
        self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def answer(self, path: str) -> dict[str, Any]:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        named = [
            {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
            for kid, key in self.keys.items()
        ]
        return {"keys": named}

    def token(self, kid: str = "first", key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
        now = int(time.time())
        said = {"iss": self.url, "aud": "holdfast-clinic", "sub": "ana", "email": EMAIL, "email_verified": True,
                "iat": now, "exp": now + 300, **claims}  # fmt: skip
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, self.keys[kid] if key is None else key, algorithm, headers={"kid": kid})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    found = Issuer()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def clinic(issuer: Issuer, tmp_path: Path) -> Iterator[Api]:
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/h.db",
        secret_key=SecretStr(SECRET),
        oidc_issuer=issuer.url,
        oidc_audience="holdfast-clinic",
    )
    upgrade(settings)
    with TestClient(create_app(settings)) as server:
        api = new_clinic(server)
        database: Database = DATABASE.in_app(app_of(server))
        now = clock.now()
        database.writing(
            api.clinic_id, lambda db: people.add_user(db, api.clinic_id, EMAIL, "clinician", "a password of mine", now)
        )
        yield api


def status(clinic: Api, token: str, path: str = "/v1/patients") -> int:
    found: int = clinic.server.get(path, headers={"Authorization": f"Bearer {token}"}).status_code
    return found


def test_whom_the_issuer_vouches_for_is_let_in_as_themselves(clinic: Api, issuer: Issuer) -> None:
    token = issuer.token(email=EMAIL.upper())
    me = clinic.server.get("/v1/me", headers={"Authorization": f"Bearer {token}"}).json()
    assert (me["kind"], me["role"], me["clinic"]["id"]) == ("user", "clinician", str(clinic.clinic_id))
    assert clinic.get("/v1/patients").status_code == 200, "our own tokens work beside"


def test_what_is_not_signed_by_it_for_us_and_now_is_refused(clinic: Api, issuer: Issuer) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = issuer.keys["first"].public_key().public_numbers().n.to_bytes(256, "big")
    wrong = [
        issuer.token(key=stranger),
        issuer.token(key=public, algorithm="HS256"),
        issuer.token(key="", algorithm="none"),
        issuer.token(aud="another service"),
        issuer.token(aud=None),
        issuer.token(exp=int(time.time()) - 60),
        issuer.token(exp=None),
        issuer.token(email=None),
        issuer.token(email_verified=False),
        issuer.token(email_verified="true"),
        issuer.token(email="nobody@example.org"),
        issuer.token(iss="https://elsewhere.example"),
        issuer.token()[:-4] + "AAAA",
    ]
    assert [status(clinic, token) for token in wrong] == [401] * len(wrong)


def test_its_keys_may_rotate_and_unknown_ones_do_not_flood_it(
    clinic: Api, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(clinic, issuer.token()) == 200
    issuer.rotate("second")
    asked = issuer.asked
    assert [status(clinic, issuer.token("second")) for _ in range(5)] == [401] * 5
    assert issuer.asked == asked, "it was asked less than 30 seconds ago"
    later = time.monotonic() + 31
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert status(clinic, issuer.token("second", sub="again")) == 200
    assert issuer.asked == asked + 1


def test_a_disabled_person_is_refused_whoever_vouches(clinic: Api, issuer: Issuer) -> None:
    token = issuer.token()
    assert status(clinic, token) == 200
    user = next(u for u in clinic.get("/v1/users").json()["items"] if u["email"] == EMAIL)
    clinic.patch(f"/v1/users/{user['id']}", {"disabled": True}, 1)
    assert status(clinic, token) == 401


def test_a_required_factor_is_required_of_them_too(clinic: Api, issuer: Issuer) -> None:
    clinic.patch("/v1/clinic", {"second_factor": "required"}, 1)
    assert status(clinic, issuer.token(amr=["pwd"])) == 403
    assert status(clinic, issuer.token(amr=["pwd", "otp"])) == 200
    assert status(clinic, issuer.token(amr=["mfa"])) == 200
    assert [status(clinic, issuer.token(amr=amr)) for amr in ("otp", ["face"], ["otp"], [1, "mfa"])] == [403] * 4


def test_an_issuer_that_does_not_answer_is_no_fault_of_ours(tmp_path: Path, issuer: Issuer) -> None:
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/h.db",
        secret_key=SecretStr(SECRET),
        oidc_issuer="http://127.0.0.1:9",
        oidc_audience="x",
    )
    upgrade(settings)
    with TestClient(create_app(settings)) as server:
        api = new_clinic(server)
        issuer.url = "http://127.0.0.1:9"
        assert status(api, issuer.token(aud="x")) == 401
        assert api.get("/v1/patients").status_code == 200


def test_issuer_and_audience_go_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="go together"):
        Settings(
            database_url=f"sqlite:///{tmp_path}/h.db", secret_key=SecretStr(SECRET), oidc_issuer="https://x.example"
        )
