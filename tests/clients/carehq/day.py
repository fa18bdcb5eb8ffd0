"""A script for CareHQ: the operations of its own pages, and refusals. Only credentials and base URL are ours."""

import json
import os
from datetime import datetime

import carehq
from carehq import exceptions

api_client = carehq.APIClient(
    os.environ["ACCOUNT_ID"], os.environ["API_KEY"], os.environ["API_SECRET"], api_base_url=os.environ["API_BASE_URL"]
)
CARE_ENQUIRY = os.environ["CARE_ENQUIRY"]
NOTES = "é & b=c + d%20\nCare seeker has requested to view ground floor rooms."


def refusal(*call: object) -> list[object]:
    """Return the exception that a call raises, with what it tells."""
    try:
        api_client(*call)
    except exceptions.APIException as error:
        return [type(error).__name__, error.status_code, sorted(error.arg_errors or {})]
    return []


home_visit = api_client(
    "put",
    "home-visits",
    data={
        "assigned_to": None,
        "care_enquiry": CARE_ENQUIRY,
        "date_time": datetime(2030, 11, 3, 11),
        "host": "manager",
        "notes": NOTES,
        "visit_type": "in_person",
    },
)
path = f"home-visits/{home_visit['_id']}"
home_visits = api_client(
    "get",
    "home-visits",
    params={
        "attributes": ["care_enquiry", "date_time", "host", "notes"],
        "filters-cancelled": "no",
        "filters-completed": "no",
        "filters-care_enquiry": [CARE_ENQUIRY],
        "filters-start_date": "2030-11-03",
    },
)
read = api_client("get", path)
updated = api_client("patch", path, data={"date_time": datetime(2030, 11, 3, 12), "notes": ""})
cancelled = api_client("patch", f"{path}/cancel")
other = api_client(
    "put",
    "home-visits",
    data={**{name: home_visit[name] for name in ("care_enquiry", "date_time", "host")}, "visit_type": "virtual"},
)
completed = api_client("patch", f"home-visits/{other['_id']}/complete")
refusals = [
    refusal("patch", f"{path}/complete"),
    refusal("put", "home-visits", None, {"host": "butler"}),
    refusal("get", "home-visits/nothing"),
    refusal("delete", path),
    refusal("get", "users", {"filters-colour": "blue"}),
]
rate = [api_client.rate_limit, api_client.rate_limit_remaining is not None, api_client.rate_limit_reset > 0]
print(json.dumps([home_visit, home_visits, read, updated, cancelled, completed, refusals, rate]))
