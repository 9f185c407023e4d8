"""A browser without scripts, for the tests of pages: cookies, forms and what is read on a page."""

import re
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from typing import Any

from httpx2 import Response

from tests.conftest import Api

FROM_HERE = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Browser:
    """A browser that is signed in as a caller: by `holdfast`, a person; by `holdfast-check-in`, a patient's phone."""

    api: Api
    jar: str = "holdfast"
    language: str = "en"

    def get(self, path: str, **kwargs: Any) -> Response:
        return self.request("GET", path, **kwargs)

    def post(self, path: str, **fields: Any) -> Response:
        return self.request("POST", path, data=fields)

    def request(self, method: str, path: str, **kwargs: Any) -> Response:
        headers = {
            "Cookie": f"{self.jar}-access={self.api.token}; holdfast-language={self.language}",
            **FROM_HERE,
            **kwargs.pop("headers", {}),
        }
        return self.api.server.request(method, path, headers=headers, follow_redirects=False, **kwargs)

    def text(self, path: str, **kwargs: Any) -> str:
        """What is read on a page."""
        answer = self.get(path, **kwargs)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        return read(answer.text)


class _Fields(HTMLParser):
    def __init__(self, action: str) -> None:
        super().__init__()
        self.action, self.inside, self.found = action, False, dict[str, str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.inside = given.get("action") == self.action
        if self.inside and tag == "input" and "name" in given:
            is_box = given.get("type") in ("checkbox", "radio")
            if not is_box or "checked" in given:
                self.found[given["name"]] = given.get("value", "")


def fields_of(page: str, action: str) -> dict[str, str]:
    """The fields of the form that goes to `action`, as they stand."""
    parser = _Fields(action)
    parser.feed(page)
    return parser.found


def read(page: str) -> str:
    """The words of a page, without its scripts and its marks."""
    body = re.sub(r"(?s)<(script|style|template).*?</\1>", " ", page.partition("<body>")[2])
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))
