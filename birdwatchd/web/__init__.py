"""The page: what people look at in a browser, and the API. Needs the extra `web`; nothing of it is imported without `web:`."""
