"""What signing in takes and gives."""

from app.access.models import Password
from app.api.fields import Name, RequestBody, ResponseBody, with_examples


class TokenError(ResponseBody):
    """An error of the token endpoint (RFC 6749, 5.2)."""

    error: str
    error_description: str


class PasswordIn(RequestBody):
    """A code, and the password it sets: 8 to 1,000 characters."""

    model_config = with_examples({"code": "the code that came", "password": "a long sentence of your own"})

    code: Name
    password: Password
