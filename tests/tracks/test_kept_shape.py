"""The shape in which a fold is kept: arrays, whose meaning is their order. It is kept as MessagePack, and shown here as
JSON. Whoever changes it must change `FOLD` too, so that what was kept in the old one is folded anew, and then this
page."""

from datetime import UTC, date, datetime
from uuid import UUID
from zlib import crc32

import msgspec
import pytest

from app.relief import Infusion, Score, Track
from app.relief.courses import InfusionPosition
from app.relief.episode import Episode, Loss, Run, Standing
from app.relief.onsets import Onset
from app.relief.spells import Record, Spell
from app.tracks.patient_tracks import FOLD, CountedInfusion, Folded, from_bytes, to_bytes

_AT = datetime(2026, 1, 2, 15, 30, tzinfo=UTC)
_DAY = date(2026, 1, 2)
_SCORE = Score("01", _AT, _DAY, _AT, datetime(2026, 1, 2, 15, 31, 0, 5, tzinfo=UTC), 20, True, False)
_INFUSION = Infusion("02", _AT, _DAY, date(2026, 1, 3))
_SPELL = Spell(1, 2, _DAY, date(2026, 1, 4), "lost", date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7), None, "d.b")
_ONSET = Onset("relief_lost", _DAY, date(2026, 1, 9), "01", _AT, True, True)
_STANDING = Standing(
    "holding",
    True,
    _SCORE,
    5,
    _DAY,
    None,
    True,
    False,
    _SCORE,
    False,
    _DAY,
    Loss(True, False),
    _SPELL,
    (_ONSET,),
)
_EPISODE = Episode(
    InfusionPosition(3, 1, 2, "booster", _DAY, date(2026, 1, 8)), _INFUSION, _SCORE, True, False, _DAY,
    Run("stale", "no_recent_score", _DAY), Standing(), _STANDING, "02", 6, date(2026, 1, 9), _SCORE, {7: 2},
)  # fmt: skip
_RECORD = Record(1, "02", _DAY, 6, _DAY, 20, True, None, None, {3: 1}, True, _SPELL)
FOLDED = Folded(
    [CountedInfusion(UUID(int=7), _AT, None, ((_AT, _AT), (_AT, None)))],
    Track(_INFUSION, None, None, ()),
    {"phq-9": Track(_SCORE, _SCORE, _EPISODE, (_RECORD,), (_ONSET,))},
    {"gad-7": _DAY},
    _AT,
)
_SPELL_KEPT = '[1,2,"2026-01-02","2026-01-04","lost","2026-01-05","2026-01-06","2026-01-07",null,"d.b"]'
_SCORE_KEPT = (
    '["01","2026-01-02T15:30:00Z","2026-01-02","2026-01-02T15:30:00Z","2026-01-02T15:31:00.000005Z",20,true,false]'
)
_ONSET_KEPT = '["relief_lost","2026-01-02","2026-01-09","01","2026-01-02T15:30:00Z",true,true]'
_INFUSION_KEPT = '{"id":"02","at":"2026-01-02T15:30:00Z","day":"2026-01-02","end_day":"2026-01-03"}'
KEPT = (
    '[[["00000000-0000-0000-0000-000000000007","2026-01-02T15:30:00Z",null,'
    '[["2026-01-02T15:30:00Z","2026-01-02T15:30:00Z"],["2026-01-02T15:30:00Z",null]]]],'
    f"[{_INFUSION_KEPT},null,null,[],[]],"
    f'{{"phq-9":[{_SCORE_KEPT},{_SCORE_KEPT},[[3,1,2,"booster","2026-01-02","2026-01-08"],{_INFUSION_KEPT},{_SCORE_KEPT},'
    'true,false,"2026-01-02",["stale","no_recent_score","2026-01-02"],'
    "[null,false,null,null,null,null,false,false,null,true,null,null,null,[]],"
    f'["holding",true,{_SCORE_KEPT},5,"2026-01-02",null,true,false,{_SCORE_KEPT},false,"2026-01-02",'
    f'[true,false],{_SPELL_KEPT},[{_ONSET_KEPT}]],"02",6,"2026-01-09",{_SCORE_KEPT},{{"7":2}}],'
    f'[[1,"02","2026-01-02",6,"2026-01-02",20,true,null,null,{{"3":1}},true,{_SPELL_KEPT}]],[{_ONSET_KEPT}]]}},{{"gad-7":"2026-01-02"}},"2026-01-02T15:30:00Z"]'
)


def test_a_fold_is_kept_in_this_shape_and_read_back_as_it_was() -> None:
    assert FOLD.endswith("/7")
    assert msgspec.json.encode(FOLDED).decode() == KEPT
    kept = to_bytes(FOLDED)
    assert (len(kept), crc32(kept)) == (849, 3326499427)
    found = from_bytes(kept)
    assert found.stored == FOLDED
    assert found.folded == FOLDED


def test_a_fold_of_a_longer_shape_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        from_bytes(msgspec.msgpack.encode([[], [None, None, None, [], [], 1], {}]))
