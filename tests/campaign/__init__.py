"""Many items of work, each by itself: in processes here, or by the workers of a Dask cluster."""

from .errors import CampaignError
from .options import add_options
from .perform import Failed
from .run import campaign

__all__ = ["CampaignError", "Failed", "add_options", "campaign"]
