"""Records as HTML: a card for a notebook, and a report as one page that loads nothing from elsewhere.

There is no script and no link to another site, and the text of a token is always shown as text.
"""

from minilm.faces.html.fragment import fragment
from minilm.faces.html.report import Section, Table, report

__all__ = ["Section", "Table", "fragment", "report"]
