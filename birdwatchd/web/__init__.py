"""The page: what people look at in a browser, and the API. Needs the extra `web`; nothing of it is imported without `web:`.

    server.py ─▶ guard.py ─▶ app.py ─┬▶ pages/   a module for each page: reads, and renders a template (rendering.py)
    the port     who may     routes  ├▶ api/     a module for each noun below /api/v1: answers with records.py
    and thread   (door.py)           └▶ static/  style.css (tokens and components), a small module of JavaScript for each page

    house.py     all that a page may ask of the daemon; there is no other door
    reading.py   the parameters of a page: the house, and the database, open to read while the request lasts
    words.py     times in the station's zone, lengths, sizes: filters of the templates

A page is found by its module: put one with a `router` into pages/ or api/, and an entry into navigation.py. Every link goes
through `to(...)`, so that it works below a prefix; nothing stands inline, and nothing comes from elsewhere (the guard's policy
would stop it).
"""
