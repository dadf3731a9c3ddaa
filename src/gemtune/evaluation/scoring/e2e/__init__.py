"""The measures of the E2E NLG challenge, as its own scripts compute them."""
