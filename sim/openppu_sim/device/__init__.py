"""A chip as software sees it."""
