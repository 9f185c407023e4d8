"""What the service is compared with: the same routes and models on the bare framework, with an async token check and
fixed responses. It has no database, no scoring and no audit."""

import gc
import os
from typing import Annotated
from uuid import UUID

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer
from pydantic import TypeAdapter

from app.checkins.models import CheckInIn, CheckInReceipt
from app.relief_answers.models import ReliefOut

_RECEIPT = TypeAdapter(CheckInReceipt).validate_json(os.environ["BARE_RECEIPT"])
_RELIEF = TypeAdapter(ReliefOut).validate_json(os.environ["BARE_RELIEF"])
_KEY = os.environ["BARE_KEY"]

# The garbage collector is set as in the service.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 100)

app = FastAPI(docs_url=None, openapi_url=None, redoc_url=None)
bearer = OAuth2PasswordBearer(tokenUrl="/oauth/token")


async def caller(token: Annotated[str, Depends(bearer)]) -> str:
    try:
        claims = jwt.decode(token, _KEY, algorithms=["HS256"], options={"verify_aud": False})
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None
    return str(claims["sub"])


CallerOf = Annotated[str, Depends(caller)]


@app.post("/v1/patients/{patient_id}/check-ins", status_code=201, response_model=CheckInReceipt)
async def record_check_in(caller: CallerOf, patient_id: UUID, body: CheckInIn) -> CheckInReceipt:
    return _RECEIPT


@app.get("/v1/patients/{patient_id}/relief", response_model=ReliefOut)
async def get_relief(caller: CallerOf, patient_id: UUID) -> ReliefOut:
    return _RELIEF


@app.get("/ready")
async def ready() -> dict[str, str]:
    return {"status": "ready"}
