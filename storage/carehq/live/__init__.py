"""A live CareHQ account: asked over its API, followed, and written through to."""
