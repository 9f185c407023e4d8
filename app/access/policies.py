"""Who may do what: one table of operations, and what each role brings."""

from collections.abc import Collection
from dataclasses import dataclass

SCOPES = (
    "patients:read",
    "patients:write",
    "sessions:read",
    "sessions:write",
    "checkins:read",
    "checkins:write",
    "outcomes:read",
    "cohorts:read",
    "alerts:read",
    "alerts:write",
    "plans:read",
    "plans:write",
    "audit:read",
    "webhooks:write",
    "fhir:read",
    "fhir:write",
    "export:read",
    "import:write",
)
_ADMIN_ONLY = frozenset({"audit:read", "webhooks:write", "export:read", "import:write"})

ROLE_SCOPES = {
    "admin": frozenset(SCOPES),
    "clinician": frozenset(SCOPES) - _ADMIN_ONLY,
    "patient": frozenset({"checkins:read", "checkins:write", "outcomes:read"}),
}


@dataclass(frozen=True, slots=True)
class Permission:
    """What an operation needs: a scope (None: any caller) and perhaps another (`also`), and whether a patient's own
    device may do it, for that patient alone. `people` restricts it to users."""

    scope: str | None
    also: str | None = None
    patients: bool = False
    people: bool = False

    def missing(self, scopes: Collection[str]) -> str | None:
        """A scope that is needed and not among these."""
        return next((scope for scope in (self.scope, self.also) if scope is not None and scope not in scopes), None)


PERMISSIONS = {
    "get_me": Permission(None, patients=True),
    "create_patient": Permission("patients:write"),
    "list_patients": Permission("patients:read"),
    "search_patients": Permission("patients:read"),
    "get_patient": Permission("patients:read"),
    "update_patient": Permission("patients:write"),
    "enrol_device": Permission("patients:write", people=True),
    "record_session": Permission("sessions:write"),
    "list_sessions": Permission("sessions:read"),
    "get_session": Permission("sessions:read"),
    "update_session": Permission("sessions:write"),
    "list_session_versions": Permission("sessions:read"),
    "record_check_in": Permission("checkins:write", patients=True),
    "record_check_ins": Permission("checkins:write", patients=True),
    "list_check_ins": Permission("checkins:read", patients=True),
    "get_check_in": Permission("checkins:read", patients=True),
    "list_check_in_versions": Permission("checkins:read", patients=True),
    "amend_check_in": Permission("checkins:write"),
    "get_relief": Permission("outcomes:read", patients=True),
    "get_session_effect": Permission("outcomes:read"),
    "get_trend": Permission("outcomes:read", patients=True),
    "get_trend_description": Permission("outcomes:read", patients=True),
    "get_trend_svg": Permission("outcomes:read", patients=True),
    "get_trend_png": Permission("outcomes:read", patients=True),
    "get_worklist": Permission("outcomes:read", also="patients:read"),
    "get_durability": Permission("cohorts:read"),
    "get_outcome_rates": Permission("cohorts:read"),
    "list_alerts": Permission("alerts:read"),
    "acknowledge_alert": Permission("alerts:write"),
    "list_audit_events": Permission("audit:read"),
}

# Answered without a token.
OPEN_OPERATIONS = frozenset({"issue_token", "revoke_token", "redeem_enrolment", "list_instruments", "get_instrument"})
