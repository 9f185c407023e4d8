"""Signing in to the pages at an outside issuer: the code flow with PKCE, state and nonce."""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import SecretStr

from app import clock
from app.api.parts import DATABASE
from app.main import create_app
from app.migrating import upgrade
from app.people import service as people
from app.settings import Settings
from app.storage import Database
from tests.access.test_outside import EMAIL, Issuer
from tests.conftest import SECRET, Api, app_of, new_clinic

CLIENT = "holdfast-pages"


class CodeIssuer(Issuer):
    """An issuer that honours one code, for the client and the verifier that it was given for."""

    def __init__(self) -> None:
        super().__init__()
        self.challenge = self.nonce = ""
        self.claims: dict[str, Any] = {}
        issuer, asked = self, self.server.RequestHandlerClass

        class Handler(asked):  # type: ignore[misc,valid-type]
            def do_POST(self: BaseHTTPRequestHandler) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                sent = {name: values[0] for name, values in parse_qs(body).items()}
                content = json.dumps(issuer.redeem(sent)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self.server.RequestHandlerClass = Handler

    def answer(self, path: str) -> dict[str, Any]:
        found = super().answer(path)
        if "jwks_uri" in found:
            found |= {"authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.url}/token"}
        return found

    def redeem(self, sent: dict[str, str]) -> dict[str, str]:
        digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
        fits = urlsafe_b64encode(digest).rstrip(b"=").decode() == self.challenge
        if sent["code"] != "right" or not fits or (sent["client_id"], sent["client_secret"]) != (CLIENT, "secret"):
            return {"error": "invalid_grant"}
        return {"id_token": self.token(aud=CLIENT, **({"nonce": self.nonce} | self.claims))}


@pytest.fixture
def issuer() -> Iterator[CodeIssuer]:
    found = CodeIssuer()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def clinic(issuer: CodeIssuer, tmp_path: Path) -> Iterator[Api]:
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/h.db", secret_key=SecretStr(SECRET), oidc_issuer=issuer.url,
        oidc_audience="holdfast-clinic", oidc_client_id=CLIENT, oidc_client_secret=SecretStr("secret"),
        public_url="http://testserver",
    )  # fmt: skip
    upgrade(settings)
    with TestClient(create_app(settings)) as server:
        api = new_clinic(server)
        database: Database = DATABASE.in_app(app_of(server))
        now = clock.now()
        database.writing(
            api.clinic_id, lambda db: people.add_user(db, api.clinic_id, EMAIL, "clinician", "a password of mine", now)
        )
        yield api


def led(clinic: Api, issuer: CodeIssuer, **change: str) -> Response:
    """What becomes of a person who is led to the issuer and back."""
    server = clinic.server
    server.cookies.clear()
    away = server.get("/sign-in/outside?next=/alerts", follow_redirects=False)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(away.headers["location"]).query).items()}
    assert away.headers["location"].startswith(f"{issuer.url}/authorize?")
    assert (asked["client_id"], asked["scope"], asked["code_challenge_method"]) == (CLIENT, "openid email", "S256")
    assert asked["redirect_uri"] == "http://testserver/sign-in/outside/return"
    issuer.challenge, issuer.nonce = asked["code_challenge"], asked["nonce"]
    params = {"code": "right", "state": asked["state"], "iss": issuer.url, "session_state": "x"} | change
    return server.get("/sign-in/outside/return", params=params, follow_redirects=False)


def test_a_person_signs_in_at_the_issuer_and_comes_back_to_where_they_were(clinic: Api, issuer: CodeIssuer) -> None:
    form = clinic.server.get("/sign-in?next=/alerts").text
    assert re.findall(r'href="(/sign-in/outside[^"]*)"', form) == ["/sign-in/outside?next=/alerts"]
    back = led(clinic, issuer)
    assert (back.status_code, back.headers["location"]) == (303, "/alerts")
    assert clinic.server.get("/alerts", follow_redirects=False).status_code == 200
    events = clinic.get("/v1/audit-events").json()["items"]
    assert ("issue_token", "done") in {(event["operation"], event["outcome"]) for event in events}
    clinic.server.cookies.clear()


@pytest.mark.parametrize("change", [{"code": "wrong"}, {"code": ""}, {"state": "another"}, {"state": ""}])
def test_a_code_or_a_state_that_is_not_right_signs_nobody_in(
    clinic: Api, issuer: CodeIssuer, change: dict[str, str]
) -> None:
    back = led(clinic, issuer, **change)
    assert back.status_code == 403
    assert "did not succeed" in back.text
    assert 'value="/alerts"' in back.text, "a password still leads to where they were"
    assert "holdfast-access" not in back.headers.get("set-cookie", "")


def test_an_issuer_that_does_not_answer_is_said_and_a_password_still_signs_in(clinic: Api, issuer: CodeIssuer) -> None:
    issuer.server.shutdown()
    issuer.server.server_close()
    answer = clinic.server.get("/sign-in/outside?next=/alerts", follow_redirects=False)
    assert answer.status_code == 503
    assert "did not succeed" in answer.text
    assert 'value="/alerts"' in answer.text


@pytest.mark.parametrize("claims", [{"nonce": "another"}, {"aud": "somebody"}, {"email": "nobody@example.org"},
                                    {"email_verified": False}])  # fmt: skip
def test_a_token_that_is_not_meant_for_this_sign_in_signs_nobody_in(
    clinic: Api, issuer: CodeIssuer, claims: dict[str, Any]
) -> None:
    issuer.claims = claims
    assert led(clinic, issuer).status_code == 403


def test_who_was_not_led_there_by_this_browser_is_not_signed_in(clinic: Api, issuer: CodeIssuer) -> None:
    clinic.server.cookies.clear()
    params = {"code": "right", "state": "x"}
    back = clinic.server.get("/sign-in/outside/return", params=params, follow_redirects=False)
    assert (back.status_code, back.headers["location"]) == (303, "/sign-in")


def test_a_second_factor_at_the_issuer_counts_where_the_clinic_requires_one(clinic: Api, issuer: CodeIssuer) -> None:
    assert clinic.patch("/v1/clinic", {"second_factor": "required"}, 1).status_code == 200
    led(clinic, issuer)
    assert clinic.server.get("/alerts", follow_redirects=False).headers["location"] == "/account/second-factor"
    issuer.claims = {"amr": ["pwd", "otp"]}
    led(clinic, issuer)
    assert clinic.server.get("/alerts", follow_redirects=False).status_code == 200
    clinic.server.cookies.clear()


def test_without_an_issuer_there_is_no_such_page(api: Api) -> None:
    assert api.server.get("/sign-in/outside", follow_redirects=False).status_code == 404
    assert "/sign-in/outside" not in api.server.get("/sign-in").text
