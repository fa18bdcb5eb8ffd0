"""What settings name beside the database: the mail server, and the list of trusted documents."""

from schema.server.settings import Settings, naming_the_setting
from schema.transport.requests import TrustedDocuments
from storage.outbox.mailroom import Mailroom
from storage.outbox.server import mail_server


def trusted_documents_of(settings: Settings) -> TrustedDocuments | None:
    with naming_the_setting("HOME_VISITS_TRUSTED_DOCUMENTS"):
        return TrustedDocuments.read(settings.trusted_documents) if settings.trusted_documents else None


def mailroom_of(settings: Settings) -> Mailroom:
    url = settings.smtp_url.get_secret_value() if settings.smtp_url else None
    with naming_the_setting("HOME_VISITS_SMTP_URL"):
        server = mail_server(url) if url else None
    with naming_the_setting("HOME_VISITS_MAIL_FROM"):
        return Mailroom(server, settings.mail_from, settings.default_time_zone)
