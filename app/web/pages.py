"""What every page has: who looks at it, in which language, what it may load, and how a refusal looks.

A page's caller comes from the cookies of a sign-in. Their access token is renewed by the refresh token when it has
expired. A form is taken only from a page of this very site: browsers say where a request comes from (Fetch Metadata,
`Origin`), and a form that says neither is refused.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import date
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from app import clock
from app.access import cookies
from app.access.cookies import DEVICE, PERSON, Jar
from app.access.dependencies import DOOR_PARTS, GuardedRoute, origin_of
from app.access.door import Door
from app.access.service import Caller
from app.access.tokens import Tokens
from app.alerts.mailing import reaches_nobody
from app.alerts.routes import MAIL
from app.api.faults import Refused
from app.api.parts import DATABASE, PUBLIC_URL
from app.api.problems import render
from app.cohorts.words import group_in_words
from app.errors import InsufficientScope, InvalidToken, Merged, NotFound, Problem
from app.facts import Fact
from app.outlook import words as outlook
from app.sign_in import granting
from app.speech import in_language, languages
from app.storage import Transaction
from app.tracks import explanation as tracks
from app.web import places, rules, words
from app.web.assets import address_of
from app.web.telephones import telephone

# Nothing from elsewhere, no script or style in the page itself, and nothing that makes code of text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_OF_A_FORM = frozenset({409, 412, 422})
_WRITING = frozenset({"POST"})
_LANGUAGE_COOKIE = "holdfast-language"
_LANGUAGE_SECONDS = 400 * 86_400
_SIGN_IN = "/sign-in"
_APIS = ("/v1/", "/oauth/", "/fhir/", "/problems/", "/static/")


class NotFromHere(Problem):
    """A form is taken only from a page of this service, opened in the same browser. Open the page anew, and send the
    form from there."""

    code, status, title = "not_from_here", 403, "The form did not come from a page of this service"


class PageRoute(GuardedRoute):
    """A page of the console, whose caller a cookie names. A refusal is a page too."""

    jar: Jar = PERSON

    async def admit(self, request: Request) -> None:
        request.state.granted = None
        if request.method in _WRITING:
            check_from_here(request)
        await super().admit(request)

    async def identified(self, request: Request) -> Caller:
        public_url = PUBLIC_URL.of(request)
        parts = DOOR_PARTS.of(request)
        token = cookies.access_token(request.cookies, public_url, self.jar)
        if token is not None:
            try:
                return self._checked(await parts.callers.caller(token))
            except InvalidToken:
                pass
        renewing = cookies.refresh_token(request.cookies, public_url, self.jar)
        granted = await granting.by_refresh_token(parts, renewing, origin_of(request)) if renewing else None
        if not isinstance(granted, Tokens):
            raise InvalidToken(was_sent=renewing is not None)
        request.state.granted = granted
        return self._checked(await parts.callers.caller(granted.access_token))

    def _checked(self, caller: Caller) -> Caller:
        if (caller.kind == "device") != (self.jar is DEVICE):
            raise InvalidToken
        return caller

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def page_of(request: Request) -> Response:
            try:
                response = await handle(request)
            except (Problem, Refused) as error:
                response = await self.problem_page(request, error.problem if isinstance(error, Refused) else error)
            granted: Tokens | None = getattr(request.state, "granted", None)
            if granted is not None:
                keep(response, request, granted, self.jar)
            response.headers["Content-Security-Policy"] = _POLICY
            return response

        return page_of

    async def problem_page(self, request: Request, problem: Problem) -> Response:
        """The refusal as a page. Who is not signed in is led to the page for that."""
        if isinstance(problem, InvalidToken) and request.method in _WRITING:
            # The way back leads to the form with all that was typed; a redirect would lose it.
            return page(request, "signed_out.html", 401)
        if isinstance(problem, InvalidToken):
            response = see_other(f"{_SIGN_IN}?{urlencode({'next': here(request)})}")
            if problem.headers["WWW-Authenticate"] != "Bearer":
                forget(response, request, self.jar)
            return response
        door: Door | None = getattr(request.state, "door", None)
        if door is not None and door.caller.is_unfinished and isinstance(problem, InsufficientScope):
            return see_other("/account/second-factor")
        if isinstance(problem, Merged) and "into" in problem.more and request.method == "GET":
            return see_other(request.url.path.replace(request.path_params["patient_id"], problem.more["into"]))
        return page(request, "problem.html", problem.status, problem=problem, headers=problem.headers)


class DevicePageRoute(PageRoute):
    """A page of the patient's check-in."""

    jar = DEVICE

    async def problem_page(self, request: Request, problem: Problem) -> Response:
        """The refusal as a page of the check-in, which says whom to call."""
        if isinstance(problem, InvalidToken) and request.method == "GET":
            return see_other("/check-in/enrol")
        return page(request, "check_in_problem.html", problem.status, problem=problem, headers=problem.headers)


async def tried(
    request: Request,
    door: Door,
    work: Callable[[], Awaitable[Response]],
    again: Callable[[Problem], Awaitable[Response]],
    calls_for: Callable[[], Callable[[Transaction], Fact[Any]] | None] = lambda: None,
) -> Response:
    """The page that a form leads to. Where it is refused for what it says, or since somebody was faster: the form once
    more (`again`), with what is wrong and with all that was typed. The refusal is recorded, with what it calls for
    (`calls_for`), whose result is the notice that the page shows. What is not there, or not theirs, is raised."""
    try:
        return await work()
    except Problem as problem:
        if problem.status not in _OF_A_FORM:
            raise
        route: GuardedRoute = request.scope["route"]
        found = await route.where_it_is_theirs(request, door, problem)
        if found is not problem:
            raise found from None
        notice = await door.refuse(problem, {k: str(v) for k, v in request.path_params.items()}, calls_for())
        if notice is not None:
            problem.more["notice"] = notice
        # What is read from here on shows the refused form once more: it is no doing of what the form is for.
        door.act = replace(door.act, operation="show_refused_form")
        return await again(problem)


async def nowhere(request: Request, _: Exception) -> Response:
    """What there is at an address that nothing stands at: a page for a browser, else a problem."""
    is_api = request.url.path.startswith(_APIS)
    if "text/html" in request.headers.get("accept", "") and not is_api:
        response = page(request, "problem.html", 404, problem=NotFound())
        response.headers["Content-Security-Policy"] = _POLICY
        return response
    return render(request.scope.get("request_id", ""), NotFound())


def check_from_here(request: Request) -> None:
    """Raises NotFromHere unless a page of this site sent the request."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        if site == "same-origin":
            return
    elif origin is not None and urlsplit(origin).netloc.lower() in _own_names(request):
        return
    raise NotFromHere


def _own_names(request: Request) -> set[str]:
    return {request.headers.get("host", "").lower(), urlsplit(PUBLIC_URL.of(request)).netloc.lower()}


def here(request: Request) -> str:
    """The address of a page, to come back to."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def is_of_here(address: str) -> bool:
    """Whether an address is a path of this site, so that one may be sent there."""
    parts = urlsplit(address)
    return address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme


def _following(request: Request, cursor: str) -> str:
    """The address of the next page of a list: a cursor is bound to every other parameter, as it was sent."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f"?{urlencode([*kept, ('cursor', cursor)])}"


def see_other(address: str) -> Response:
    """Leads on to a page, which is read anew."""
    return RedirectResponse(address, 303)


def keep(response: Response, request: Request, granted: Tokens, jar: Jar) -> None:
    """Signs in: keeps the tokens in the browser."""
    for value in cookies.holding(granted, PUBLIC_URL.of(request), jar):
        response.headers.append("Set-Cookie", value)


def forget(response: Response, request: Request, jar: Jar) -> None:
    """Signs out: forgets the tokens in the browser, also those that this very request has renewed."""
    request.state.granted = None
    for value in cookies.forgetting(PUBLIC_URL.of(request), jar):
        response.headers.append("Set-Cookie", value)


async def sign_off(response: Response, request: Request, jar: Jar) -> None:
    """Signs out for good: ends the session, so that no copy of its tokens can renew it, and forgets it here."""
    token = cookies.refresh_token(request.cookies, PUBLIC_URL.of(request), jar)
    if token is not None:
        await granting.ended(DATABASE.of(request), token, clock.now())
    forget(response, request, jar)


def language_of(request: Request) -> str:
    """The language of a request's page."""
    return languages.chosen(request.cookies.get(_LANGUAGE_COOKIE), request.headers.get("accept-language", ""))


def keep_language(response: Response, language: str) -> None:
    """Remembers the language that somebody chose."""
    response.set_cookie(_LANGUAGE_COOKIE, language, _LANGUAGE_SECONDS, samesite="lax", httponly=True)


def page(
    request: Request,
    template: str,
    status: int | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    problem: Problem | None = None,
    **values: Any,
) -> Response:
    """A page from a template; with a problem, its status unless another one is given. Beside its own values each
    template knows who looks (`caller`, None where nobody is known) and where, and has filters for days, moments and
    numbers in the reader's language and the clinic's zone."""
    if status is None:
        status = 200 if problem is None else problem.status
    if request.method != "GET":  # a list under a refused form is its first page: the next one is reached from there
        values = {name: None if name == "next_cursor" else value for name, value in values.items()}
    language = language_of(request)
    door: Door | None = getattr(request.state, "door", None)
    caller = door.caller if door is not None else None
    clinic = caller.clinic if caller is not None else None
    found = environment(language).get_template(template)
    content = found.render(
        request_path=request.url.path,
        here=here(request) if request.method == "GET" else "/",
        can_change_language=request.method == "GET",  # else what was typed would be lost
        following=lambda cursor: _following(request, cursor),
        language=language,
        caller=caller,
        clinic=clinic,
        zone=caller.time_zone if caller is not None else None,
        alerts_reach_nobody=clinic is not None and reaches_nobody(clinic.alert_recipients, MAIL.of(request)),
        problem=problem,
        **values,
    )
    shown = {name: value for name, value in (headers or {}).items() if name != "Content-Length"}
    return HTMLResponse(content, status, {"Vary": "Accept-Language, Cookie", **shown})


@lru_cache
def environment(language: str) -> Environment:
    """What makes pages of templates, in one language."""
    made = Environment(
        loader=PackageLoader("app.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    catalogue = languages.translations(language)
    made.install_gettext_translations(catalogue, newstyle=True)  # type: ignore[attr-defined]
    made.filters |= {
        "day": partial(_day, language),
        "moment": lambda value, zone: languages.moment_in(language, value, zone),
        "hour": lambda value, zone: languages.hour_in(language, value, zone),
        "number": lambda value: languages.number_in(language, value),
        "told": catalogue.gettext,
        "place": lambda pointer: places.place(catalogue.gettext, pointer),
        "said": lambda code: words.said(catalogue.gettext, code),
        "rule": lambda detail: rules.rule(catalogue.gettext, detail),
        "group": lambda name: group_in_words(name, in_language(language)),
        "explained": lambda track: tracks.explain(track, in_language(language)),
        "outlook": lambda found: outlook.explain(found, in_language(language)),
    }
    made.globals |= {"asset": address_of, "languages": languages.LANGUAGES, "telephone": telephone}
    made.globals["instrument_name"] = partial(words.instrument, catalogue.gettext)
    return made


def _day(language: str, value: date, form: str = "long") -> str:
    return languages.day_in(language, value, form)


def shown_once(request: Request, name: str, secret: str, back: str, *, is_password: bool = False) -> Response:
    """The page of a secret that is shown only now: of an integration, of a webhook, or a code for a password."""
    return page(request, "admin_secret.html", shown_name=name, secret=secret, back=back, is_password=is_password)


def gettext_of(request: Request) -> Callable[[str], str]:
    """What translates a sentence into the language of the page."""
    return languages.translations(language_of(request)).gettext
