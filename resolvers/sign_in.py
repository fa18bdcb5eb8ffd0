"""How callers sign in, as the settings have it."""

from resolvers.key_sets import InsecureAddress
from resolvers.tokens import TokenRules, Tokens
from schema.server.settings import Settings, Unstartable


def tokens_of(settings: Settings) -> Tokens:
    """Return what checks tokens; raise Unstartable where a setting cannot be used."""
    try:
        return Tokens(token_rules(settings))
    except ValueError as reason:
        name = "JWT_JWKS_URL" if isinstance(reason, InsecureAddress) else "JWT_SECRET"
        raise Unstartable(f"HOME_VISITS_{name}: {reason}") from None


def token_rules(settings: Settings) -> TokenRules:
    return TokenRules(
        settings.jwt_secret.get_secret_value() if settings.jwt_secret else None,
        settings.jwt_jwks_url,
        settings.jwt_issuer,
        settings.jwt_audience,
        settings.jwt_roles_claim,
        settings.jwt_locations_claim,
    )
