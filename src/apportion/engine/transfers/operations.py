"""The operations on transfers that are still to be made."""

from __future__ import annotations

from typing import Any

from apportion.engine.operation import Operation, Way, op
from apportion.engine.transfers import segmenting
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole
from apportion.model.segmentation import SegmentationAgain, SegmentationAsked, SegmentPlan

_ROLES = (AccessRole.OPERATOR, AccessRole.USER, AccessRole.PROVIDER)
_C = RefusalCode
_SPLIT: dict[str, Any] = {
    "way": Way.READ, "gives": SegmentPlan,
    "problems": (
        _C.BAD_INPUT, _C.UNKNOWN_FIELD, _C.BAD_QUANTITY, _C.BAD_WEIGHT, _C.OVERFLOW, _C.ASSET_MISMATCH,
        _C.UNKNOWN_ASSET, _C.UNKNOWN_SERVICE, _C.UNKNOWN_PART, _C.UNKNOWN_TARIFF, _C.CATALOG_INVALID, _C.NO_PLAN,
        _C.NOT_FOUND,
    ),
}  # fmt: skip

TRANSFERS: tuple[Operation, ...] = (
    op(
        "segment", "POST /v1/segmentations", "Split a known amount of data over paths for a deadline and a budget.",
        segmenting.segment, _ROLES, takes=SegmentationAsked, **_SPLIT,
        more="It is worked out and answered; nothing is stored or charged. Without paths those are taken that the"
        " market offers for a service and part now: for operators at what their providers earn, for users at what"
        " payers pay. When nothing keeps the limits, the problem names the nearest miss.",
    ),
    op(
        "segment_again", "POST /v1/segmentations/again", "Find a split again from what has become of its paths.",
        segmenting.segment_again, _ROLES, takes=SegmentationAgain, body_max=4 << 20, **_SPLIT,
        more="The plan is sent back as it was answered, with what each path has delivered. What is delivered stays so,"
        " and what is under way stays where it is unless another split is better; nothing is stored.",
    ),
)  # fmt: skip
