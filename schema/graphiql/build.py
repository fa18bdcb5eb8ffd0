"""What `pip install` runs: bring the explorer's files into the checkout, and let a wheel take them along."""

import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FetchAssets(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        # An isolated build does not have the checkout on its path.
        sys.path.insert(0, self.root)
        from schema.graphiql import vendor  # noqa: PLC0415

        try:
            vendor.fetch()
        except vendor.AssetsUnavailable as reason:
            self.app.display_warning(f"Installing without the explorer's files: {reason}. Later: python -m schema.graphiql")
        # They are git-ignored, which hatchling takes as "leave out" unless told otherwise.
        build_data["artifacts"].append("/schema/graphiql/assets/*")
