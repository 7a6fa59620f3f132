"""The HTML face: a record in a notebook, and a report as one page that needs nothing but itself.

No script, no link to elsewhere; every text of a token is shown as text.
"""

from minilm.faces.html.fragment import fragment
from minilm.faces.html.report import Section, Table, report

__all__ = ["Section", "Table", "fragment", "report"]
