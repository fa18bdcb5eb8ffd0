"""Records as the product writes them: with the folded columns by which they are ordered and found."""

from typing import TypeVar

from storage.models import CareEnquiry, Location, ServiceUserContact, User
from storage.names import folded_columns

R = TypeVar("R", User, Location, CareEnquiry, ServiceUserContact)


def with_folded(record: R) -> R:
    for name, value in folded_columns(record.model_dump()).items():
        setattr(record, name, value)
    return record
