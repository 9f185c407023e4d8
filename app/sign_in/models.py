"""What signing in takes and gives."""

from pydantic import BaseModel, ConfigDict, Field

from app.access.models import Password
from app.api.fields import Name, RequestBody, ResponseBody, with_examples

GRANT_TYPES = ("password", "refresh_token", "client_credentials")


class TokenRequest(BaseModel):
    """What a token is asked for with, as a form (RFC 6749). Which fields are needed depends on `grant_type`."""

    model_config = ConfigDict(json_schema_extra={"required": ["grant_type"]})

    # A missing one is answered in the words of RFC 6749, not as a malformed request.
    grant_type: str = Field(default="", json_schema_extra={"enum": list(GRANT_TYPES)})
    username: str = ""
    password: str = ""
    otp: str = ""
    refresh_token: str = ""
    client_id: str = ""
    client_secret: str = ""
    scope: str = ""


class RevocationRequest(BaseModel):
    """The token that is to end, as a form (RFC 7009)."""

    model_config = ConfigDict(json_schema_extra={"required": ["token"]})

    token: str = ""


class TokenError(ResponseBody):
    """An error of the token endpoint (RFC 6749, 5.2)."""

    error: str
    error_description: str


class PasswordIn(RequestBody):
    """A code, and the password it sets: 8 to 1,000 characters."""

    model_config = with_examples({"code": "the code that came", "password": "a long sentence of your own"})

    code: Name
    password: Password
