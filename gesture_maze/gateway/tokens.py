"""Tokens with which a browser resumes its session. Signed, so that the gateway keeps no list of them."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer
from pydantic import BaseModel, ConfigDict, ValidationError

from gesture_maze.gateway.refusals import GatewayError, Refusal

SESSION_BYTES: Final = 16
"""128 random bits: a session id cannot be guessed, and no two are the same."""
SALT: Final = "gesture-maze play"
MAX_TOKEN_CHARACTERS: Final = 512


class Claim(BaseModel):
    """The content of a token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    session: str
    name: str
    bearer: str


def new_session() -> str:
    """Return a new session id."""
    return secrets.token_hex(SESSION_BYTES)


def bearer_of(browser: str | None, address: str) -> str:
    """Return the holder of a token: the browser by its cookie or, without one, the network address."""
    return hashlib.sha256(f"{'browser' if browser else 'address'} {browser or address}".encode()).hexdigest()


class Tokens:
    """Issues and checks tokens (HMAC, see itsdangerous).

    Args:
        secret: the key.
        ttl_s: how long a token is valid, in seconds.
    """

    def __init__(self, secret: str, ttl_s: int) -> None:
        self._signer: Final = URLSafeTimedSerializer(
            secret, salt=SALT, signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        )
        self._ttl_s: Final = ttl_s

    def issue(self, claim: Claim) -> str:
        """Return a signed token with this content."""
        token = self._signer.dumps(claim.model_dump())
        return token if isinstance(token, str) else token.decode()

    def check(self, token: str, bearer: str) -> Claim:
        """Return the content of a token.

        Raises:
            GatewayError: `bad_token`, `expired_token`, or `stolen_token` if it belongs to another bearer.
        """
        try:
            claim = Claim.model_validate(self._signer.loads(token[:MAX_TOKEN_CHARACTERS], self._ttl_s))
        except SignatureExpired:
            raise GatewayError(Refusal.EXPIRED_TOKEN, "the token has expired: start a new game") from None
        except (BadData, ValidationError):
            raise GatewayError(Refusal.BAD_TOKEN, "the token was not issued here") from None
        if not secrets.compare_digest(claim.bearer, bearer):
            raise GatewayError(Refusal.STOLEN_TOKEN, "the token was given to another browser")
        return claim
