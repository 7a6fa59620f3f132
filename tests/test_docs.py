"""The documentation site: it builds without a warning, every link works, nothing comes from a network."""

import importlib.util
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("mkdocs", reason="the documentation tools are not installed: pip install -e '.[docs]'")
pytest.importorskip("material")
ROOT = Path(__file__).parent.parent


class Page(HTMLParser):
    """The links of a page, what it loads by itself, and the places that can be linked to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.places = [], [], set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.places |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") != "canonical":
            self.loads.append(found["href"])
        elif tag in ("script", "img", "iframe", "source") and found.get("src"):
            self.loads.append(found["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    folder = tmp_path_factory.mktemp("docs") / "site"
    builder.build(folder, folder.with_name("pages"))
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


@pytest.mark.slow
def test_every_internal_link_leads_to_a_page_and_a_place(site, pages):
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            whole = target.is_file() and (
                not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].places
            )
            if not whole:
                broken.append((path.relative_to(site).as_posix(), link))
    assert broken == []


@pytest.mark.slow
def test_a_page_loads_nothing_from_a_network(pages):
    loaded = [link for page in pages.values() for link in page.loads]
    assert [
        link for link in loaded if urlsplit(link).scheme in ("http", "https") or link.startswith("//")
    ] == []
    assert loaded


@pytest.mark.slow
def test_every_command_and_public_name_has_its_place(site, pages):
    import minilm

    commands = (site / "commands.html").read_text("utf-8")
    for name in ("generate", "train", "compare", "debug train", "trace show", "lesson check"):
        assert f"minilm {name}" in commands
    places = set().union(*(page.places for page in pages.values()))
    shown = {place.rpartition(".")[2] for place in places}
    assert set(minilm.__all__) - {"load", "create", "available", "MinilmError"} <= shown
