"""Which mail server a URL names, and how safely it is used."""

import pytest

from storage.outbox.server import Encryption, MailServer, mail_server

HOST = "mail.homes.example"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.homes.example", MailServer("mail.homes.example", 587, Encryption.STARTTLS)),
        ("smtps://mail.homes.example/", MailServer("mail.homes.example", 465, Encryption.TLS)),
        ("smtp://mail.homes.example:2525", MailServer("mail.homes.example", 2525, Encryption.STARTTLS)),
        ("smtp://me:secret@mail.homes.example", MailServer("mail.homes.example", 587, Encryption.STARTTLS, "me", "secret")),
        (
            "smtps://me%40homes.example:p%3Aw%2F%40%25@mail.homes.example",
            MailServer("mail.homes.example", 465, Encryption.TLS, "me@homes.example", "p:w/@%"),
        ),
        *(
            (f"smtp://me:{password}@{HOST}:2525", MailServer(HOST, 2525, Encryption.STARTTLS, "me", password))
            for password in (
                "a/b",
                "a#b",
                "a?b",
                "a+b",
                "a@b",
                "a:b",
                "/",
                "#",
                "?",
                "+",
                "@",
                ":",
                "a/@b?tls=off#c",
                "50%",
                "é ü",
            )
        ),
        ("smtp://me:a%2Fb%23%3F%2B%25@localhost?tls=off", MailServer("localhost", 25, Encryption.OFF, "me", "a/b#?+%")),
        ("smtp://me:a/b?c@localhost/?tls=off", MailServer("localhost", 25, Encryption.OFF, "me", "a/b?c")),
        ("smtp://me@homes.example:a/b@" + HOST, MailServer(HOST, 587, Encryption.STARTTLS, "me@homes.example", "a/b")),
        ("smtp://homes%3Ame:secret@" + HOST, MailServer(HOST, 587, Encryption.STARTTLS, "homes:me", "secret")),
        ("smtp://localhost?tls=off", MailServer("localhost", 25, Encryption.OFF)),
        ("smtp://127.0.0.1:1025?tls=off", MailServer("127.0.0.1", 1025, Encryption.OFF)),
        ("smtp://[::1]:1025?tls=off", MailServer("::1", 1025, Encryption.OFF)),
    ],
)
def test_a_url_names_a_server(url: str, expected: MailServer) -> None:
    assert mail_server(url) == expected


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("", "write it like smtp://"),
        ("mail.homes.example", "write it like smtp://"),
        ("http://me:secret@mail.homes.example", "write it like smtp://"),
        ("smtp://", "write it like smtp://"),
        ("smtp://me:secret@", "write it like smtp://"),
        ("smtp://me:secret@mail.homes.example:port", "write it like smtp://"),
        ("smtp://me:secret@[mail", "write it like smtp://"),
        ("smtp://me:secret@mail.homes.example/path", "write it like smtp://"),
        ("smtp://me:secret@mail.homes.example#secret", "write it like smtp://"),
        ("smtp://me:secret%FF@mail.homes.example", "% as %25"),
        ("smtp://me:secret@mail homes.example", "write it like smtp://"),
        ("smtp://me:secret@mail.homes\n.example", "write it like smtp://"),
        ("smtp://@mail.homes.example", "both a user and a password"),
        ("smtp://me:@mail.homes.example", "both a user and a password"),
        ("smtp://secret@mail.homes.example", "both a user and a password"),
        ("smtp://:secret@mail.homes.example", "both a user and a password"),
        ("smtp://me:secret@mail.homes.example?tls=off", "must use TLS"),
        ("smtp://me:secret@127.0.0.1.homes.example?tls=off", "must use TLS"),
        ("smtps://me:secret@localhost?tls=off", "of smtp:// alone"),
        ("smtp://me:secret@localhost?tls=no", "only option"),
        ("smtp://me:secret@localhost?tls=off&verify=off", "only option"),
    ],
)
def test_another_url_is_refused_without_repeating_it(url: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice) as refusal:
        mail_server(url)

    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_server_never_shows_its_password() -> None:
    shown = repr(mail_server("smtp://me:secret@mail.homes.example"))

    expected = "MailServer(host='mail.homes.example', port=587, encryption=<Encryption.STARTTLS: 587>, user='me')"
    assert shown == expected
