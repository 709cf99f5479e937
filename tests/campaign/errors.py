"""What ends a campaign before its items are done."""


class CampaignError(Exception):
    """One line: nobody is left to work, or who is there has other sources."""
