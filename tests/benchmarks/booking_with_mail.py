"""Does a mail server in trouble slow booking down? Servers beside each other, booking in turns.

    python tests/benchmarks/booking_with_mail.py

Each server books for families with an email address. One has no mail server at all: the others are compared with it,
round by round, because the speed of a machine changes while it runs. Every answer is checked.
"""

import asyncio
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp
from sqlmodel import Session, create_engine

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from storage.models import CareEnquiry, Location  # noqa: E402
from storage.sqlite.migrating import migrate  # noqa: E402 - the line above finds it

ROUNDS, CLIENTS, BOOKINGS = 20, 4, 25
LARGEST_RATIO = 1.1
HOME, FAMILY = "1" * 24, "3" * 24
BOOK = """mutation ($input: BookHomeVisitInput!) {
  bookHomeVisit(input: $input) { ... on BookHomeVisitSuccess { homeVisit { confirmation } } }
}"""
INPUT = {"careEnquiry": FAMILY, "dateTime": "2099-11-03T11:00:00Z", "host": "NURSE", "visitType": "IN_PERSON"}
BOOKED = {"data": {"bookHomeVisit": {"homeVisit": {"confirmation": "QUEUED"}}}}


def environment(folder: Path, secret: str, mail_port: int | None) -> dict[str, str]:
    settings = {"DATABASE_URL": f"sqlite:///{folder / 'visits.db'}", "JWT_SECRET": secret}
    if mail_port:
        settings |= {"SMTP_URL": f"smtp://127.0.0.1:{mail_port}?tls=off", "MAIL_FROM": "visits@homes.example"}
    return os.environ | {f"HOME_VISITS_{name}": value for name, value in settings.items()}


@contextmanager
def serving(folder: Path, secret: str, mail_port: int | None) -> Iterator[str]:
    folder.mkdir()
    migrate(folder / "visits.db")
    with Session(create_engine(f"sqlite:///{folder / 'visits.db'}")) as session:
        session.add(Location(id=HOME))
        session.flush()
        session.add(CareEnquiry(id=FAMILY, email="ada@family.example", location=HOME))
        session.commit()
    command = [sys.executable, str(ROOT / "app.py"), "serve", "--port", "0"]
    variables = environment(folder, secret, mail_port)
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
        try:
            yield _address(folder / "log", process)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _address(log: Path, process: "subprocess.Popen[bytes]") -> str:
    while process.poll() is None:
        if found := re.search(r"http://\S+/graphql", log.read_text()):
            return found[0]
        time.sleep(0.05)
    raise SystemExit(f"the server did not start: {log.read_text()}")


async def book(session: aiohttp.ClientSession, url: str) -> list[float]:
    took = []
    for _ in range(BOOKINGS):
        began = time.perf_counter()
        async with session.post(url, json={"query": BOOK, "variables": {"input": INPUT}}) as response:
            answer = await response.json()
        took.append(time.perf_counter() - began)
        if answer != BOOKED:
            raise SystemExit(f"{url} did not book: {answer}")
    return took


async def compare(urls: dict[str, str], token: str) -> dict[str, list[float]]:
    """Return for each server the median seconds of a booking in each round; the first round warms up."""
    medians: dict[str, list[float]] = {name: [] for name in urls}
    headers, timeout = {"Authorization": f"Bearer {token}"}, aiohttp.ClientTimeout(30)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        for round in range(ROUNDS + 1):
            for name, url in urls.items():
                took = await asyncio.gather(*(book(session, url) for _ in range(CLIENTS)))
                if round:
                    medians[name].append(statistics.median(second for client in took for second in client))
    return medians


def main() -> None:
    secret = secrets.token_urlsafe(48)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        with socket.create_server(("127.0.0.1", 0)) as closed:
            refusing = closed.getsockname()[1]
        troubles = {"no mail server": None, "it hangs": silent.getsockname()[1], "it refuses": refusing}
        urls = {name: stack.enter_context(serving(folder / name, secret, port)) for name, port in troubles.items()}
        command = [sys.executable, str(ROOT / "app.py"), "token", "--subject", "benchmark", "--role", "COORDINATOR"]
        token = subprocess.check_output(command, cwd=folder, env=environment(folder, secret, None), text=True).strip()
        medians = asyncio.run(compare(urls, token))
    alone = medians["no mail server"]
    worst = 0.0
    for name, rounds in medians.items():
        ratio = statistics.median(one / other for one, other in zip(rounds, alone, strict=True))
        worst = max(worst, ratio)
        print(f"{name:15} {statistics.median(rounds) * 1000:6.2f} ms for a booking, {ratio:.3f} of that without mail")
    if worst > LARGEST_RATIO:
        raise SystemExit(f"Slower than {LARGEST_RATIO} of booking without mail.")


if __name__ == "__main__":
    main()
