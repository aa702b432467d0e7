"""The decision report: one page that says what was asked, shown, decided, by whom and why, what ran, what changed.

`facts` gathers what is known; `form` puts it into the one form whose hash is the report's digest; `page` renders it in
the reader's language, with `texts` and `report.css`; `handlers` answer the calls.
"""
