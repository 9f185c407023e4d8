"""What the devices room takes and gives. The table of devices is in `access`."""

from app.access.models import TokenOut
from app.api.fields import Id, MomentOut, Name, RequestBody, ResponseBody, with_examples


class DeviceTokenOut(TokenOut):
    """What a device gets for its enrolment code."""

    patient_id: Id


class RedeemIn(RequestBody):
    """An enrolment code and what to call the device."""

    model_config = with_examples({"code": "the code of the link", "device_name": "phone"})

    code: Name
    device_name: Name


class EnrolmentOut(ResponseBody):
    """A code for a patient's device, shown once; the link carries it in its fragment, which no server sees."""

    code: str
    expires_at: MomentOut
    link: str


class DeviceOut(ResponseBody):
    """A patient's own device."""

    id: Id
    name: str
    created_at: MomentOut
    disabled_at: MomentOut | None


class DeviceList(ResponseBody):
    """A patient's devices, newest first: all of them."""

    items: list[DeviceOut]
    next_cursor: str | None
