"""Who may do what: the table of permissions by operation, and the scopes of each role."""

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
    "patient": frozenset({"checkins:read", "checkins:write", "outcomes:read", "plans:read"}),
}

# What a clinic may show patients of their own outcomes, from least to most.
PATIENT_VIEWS = ("scores", "scores_and_trend", "all")


@dataclass(frozen=True, slots=True)
class Permission:
    """What an operation needs: a scope (None: none) and possibly another (`also`). `by` restricts it to people
    (`users`), administrators (`admins`) or patients' devices (`devices`). `patients`: a patient's own device may do it,
    for that patient only, if the clinic shows patients at least `view`; with `former` also at the address of a record
    that was merged into that patient's. `unfinished`: a person may do it before setting up the second factor that their
    clinic requires."""

    scope: str | None = None
    also: str | None = None
    by: str | None = None
    patients: bool = False
    view: str = "scores"
    former: bool = False
    unfinished: bool = False

    def missing(self, scopes: Collection[str]) -> str | None:
        """The first required scope that is not in `scopes`; None if none is missing."""
        return next((scope for scope in (self.scope, self.also) if scope is not None and scope not in scopes), None)

    def admits(self, kind: str, role: str) -> bool:
        """Whether callers of this kind and role may do it, provided they have the scopes."""
        if kind == "device":
            return self.patients
        return self.by is None or (kind == "user" and self.by == "users") or (role == "admin" and self.by == "admins")

    def is_shown(self, view: str) -> bool:
        """Whether a clinic whose `patient_view` is `view` shows this to its patients."""
        return PATIENT_VIEWS.index(view) >= PATIENT_VIEWS.index(self.view)


PERMISSIONS = {
    "get_me": Permission(patients=True, unfinished=True),
    "list_my_due": Permission("plans:read", by="devices", patients=True),
    "change_password": Permission(by="users", unfinished=True),
    "sign_out_everywhere": Permission(by="users", unfinished=True),
    "start_second_factor": Permission(by="users", unfinished=True),
    "confirm_second_factor": Permission(by="users", unfinished=True),
    "export_scores_csv": Permission("export:read"),
    "export_scores_ndjson": Permission("export:read"),
    "export_sessions_csv": Permission("export:read", also="sessions:read"),
    "export_sessions_ndjson": Permission("export:read", also="sessions:read"),
    "export_patients_csv": Permission("export:read", also="patients:read"),
    "export_patients_ndjson": Permission("export:read", also="patients:read"),
    "get_export_dictionary": Permission("export:read"),
    "create_import": Permission("import:write"),
    "list_imports": Permission("import:write"),
    "get_import": Permission("import:write"),
    "list_import_problems": Permission("import:write"),
    "cancel_import": Permission("import:write"),
    "list_import_mappings": Permission("import:write"),
    "get_import_mapping": Permission("import:write"),
    "put_import_mapping": Permission("import:write"),
    "delete_import_mapping": Permission("import:write"),
    "get_clinic": Permission(by="users"),
    "update_clinic": Permission(by="admins"),
    "list_wording": Permission(patients=True),
    "get_wording": Permission(patients=True),
    "put_wording": Permission(by="admins"),
    "delete_wording": Permission(by="admins"),
    "create_user": Permission(by="admins"),
    "list_users": Permission(by="admins"),
    "get_user": Permission(by="admins"),
    "update_user": Permission(by="admins"),
    "reset_password": Permission(by="admins"),
    "remove_second_factor": Permission(by="admins"),
    "create_client": Permission(by="admins"),
    "list_clients": Permission(by="admins"),
    "get_client": Permission(by="admins"),
    "update_client": Permission(by="admins"),
    "rotate_client_secret": Permission(by="admins"),
    "create_patient": Permission("patients:write"),
    "list_patients": Permission("patients:read"),
    "search_patients": Permission("patients:read"),
    "get_patient": Permission("patients:read"),
    "update_patient": Permission("patients:write"),
    "list_patient_versions": Permission("patients:read"),
    "move_check_in": Permission("checkins:write", also="checkins:read"),
    "move_session": Permission("sessions:write", also="sessions:read"),
    "merge_patient": Permission(by="admins"),
    "undo_merge": Permission(by="admins"),
    "get_patient_record": Permission("patients:read", also="checkins:read", by="users"),
    "erase_patient": Permission(by="admins"),
    "enrol_device": Permission("patients:write", by="users"),
    "list_devices": Permission("patients:read", by="users"),
    "revoke_device": Permission("patients:write", by="users"),
    "record_session": Permission("sessions:write"),
    "list_sessions": Permission("sessions:read"),
    "get_session": Permission("sessions:read"),
    "update_session": Permission("sessions:write"),
    "list_session_versions": Permission("sessions:read"),
    "record_event": Permission("sessions:write"),
    "list_events": Permission("sessions:read"),
    "get_event": Permission("sessions:read"),
    "list_event_versions": Permission("sessions:read"),
    "amend_event": Permission("sessions:write"),
    "record_check_in": Permission("checkins:write", patients=True, former=True),
    "record_check_ins": Permission("checkins:write", patients=True),
    "list_check_ins": Permission("checkins:read", patients=True),
    "get_check_in": Permission("checkins:read", patients=True),
    "list_check_in_versions": Permission("checkins:read", patients=True),
    "amend_check_in": Permission("checkins:write", patients=True),
    "get_relief": Permission("outcomes:read", patients=True, view="all"),
    "get_outlook": Permission("outcomes:read", also="patients:read"),
    "get_session_effect": Permission("outcomes:read"),
    "get_trend": Permission("outcomes:read", patients=True, view="scores_and_trend"),
    "get_trend_description": Permission("outcomes:read", patients=True, view="scores_and_trend"),
    "get_trend_svg": Permission("outcomes:read", patients=True, view="scores_and_trend"),
    "get_trend_png": Permission("outcomes:read", patients=True, view="scores_and_trend"),
    "get_overview_description": Permission("outcomes:read", patients=True, view="scores_and_trend"),
    "get_overview_svg": Permission("outcomes:read", patients=True, view="scores_and_trend"),
    "get_overview_png": Permission("outcomes:read", patients=True, view="scores_and_trend"),
    "get_effects_description": Permission("outcomes:read", also="sessions:read"),
    "get_effects_svg": Permission("outcomes:read", also="sessions:read"),
    "get_effects_png": Permission("outcomes:read", also="sessions:read"),
    "get_durability_description": Permission("cohorts:read"),
    "get_durability_svg": Permission("cohorts:read"),
    "get_durability_png": Permission("cohorts:read"),
    "get_worklist": Permission("outcomes:read", also="patients:read"),
    "get_durability": Permission("cohorts:read"),
    "get_outcome_rates": Permission("cohorts:read"),
    "list_alerts": Permission("alerts:read"),
    "acknowledge_alert": Permission("alerts:write"),
    "get_clinic_plan": Permission("plans:read"),
    "put_clinic_plan": Permission("plans:write", by="users"),
    "get_plan": Permission("plans:read", patients=True),
    "put_plan": Permission("plans:write"),
    "list_due": Permission("plans:read", patients=True),
    "list_audit_events": Permission("audit:read"),
    "list_changes": Permission(),
    "create_webhook": Permission("webhooks:write"),
    "list_webhooks": Permission("webhooks:write"),
    "get_webhook": Permission("webhooks:write"),
    "update_webhook": Permission("webhooks:write"),
    "delete_webhook": Permission("webhooks:write"),
    "rotate_webhook_secret": Permission("webhooks:write"),
    "test_webhook": Permission("webhooks:write"),
    "list_deliveries": Permission("webhooks:write"),
    "replay_delivery": Permission("webhooks:write"),
}

# Pages of the console that are no operation of the API. What a form does is the operation of that name.
PAGES = {
    "page_worklist": Permission("outcomes:read", also="patients:read", by="users"),
    "page_patient": Permission("patients:read", also="checkins:read", by="users"),
    "page_check_in": Permission("patients:read", also="checkins:read", by="users"),
    "page_history": Permission("patients:read", also="checkins:read", by="users"),
    "page_my_check_in": Permission("plans:read", by="devices", patients=True),
    "page_my_reminders": Permission("plans:read", by="devices", patients=True),
    "prepare_reminders": Permission("plans:read", by="devices", patients=True),
    "turn_on_reminders": Permission("plans:read", by="devices", patients=True),
    "renew_reminders": Permission("plans:read", by="devices", patients=True),
    "turn_off_reminders": Permission("plans:read", by="devices", patients=True),
    "make_calendar_link": Permission("plans:read", by="devices", patients=True),
    "end_calendar_links": Permission("plans:read", by="devices", patients=True),
    "page_my_scores": Permission("checkins:read", by="devices", patients=True),
    "page_clinic": Permission(by="admins"),
    "send_test_mail": Permission(by="admins"),
    "page_letter": Permission("patients:read", also="checkins:read", by="users"),
    "page_authorisation": Permission("patients:read", also="checkins:read", by="users"),
    "page_cohorts": Permission("cohorts:read", by="users"),
    "page_new_patient": Permission("patients:write", by="users"),
    "page_edit_patient": Permission("patients:read", also="patients:write", by="users"),
    "page_new_session": Permission("patients:read", also="sessions:write", by="users"),
    "page_session": Permission("patients:read", also="sessions:read", by="users"),
    "page_new_check_in": Permission("patients:read", also="checkins:write", by="users"),
}

# With these a client can change what a cohort counts.
_WRITE = ":write"


def why_scopes_clash(scopes: Collection[str]) -> str | None:
    """Why no client may hold these scopes together; None if one may. Who sees cohorts and not patients could add
    invented patients to a small group until it is shown."""
    if "cohorts:read" in scopes and "patients:read" not in scopes and any(s.endswith(_WRITE) for s in scopes):
        return "cohorts:read without patients:read cannot go together with a scope to write"
    return None


# Operations that need no token.
OPEN_OPERATIONS = frozenset(
    (
        *("issue_token", "revoke_token", "set_password", "redeem_enrolment", "list_instruments", "get_instrument"),
        *("list_problems", "get_problem", "livez", "readyz", "get_openapi"),
    )
)

# Pages that need no sign-in, and what they load.
OPEN_PAGES = frozenset(
    (
        *("get_static_file", "sign_in_page", "sign_in", "follow_sign_in_link", "sign_out", "choose_language"),
        *("sign_in_outside", "return_from_outside"),
        *("password_page", "set_password_by_form", "enrol_page", "enrol", "sign_out_device"),
        *("get_check_in_worker", "get_check_in_manifest", "read_calendar"),
    )
)
