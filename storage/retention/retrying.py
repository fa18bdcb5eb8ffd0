"""How long a wipe is tried again, where a letter is under way, or others are in the way."""

RETRY_SECONDS = 1.0
# A courier has a minute for a letter.
MAX_RETRIES = 90
