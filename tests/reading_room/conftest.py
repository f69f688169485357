import pytest

from reading_client import AppAsker, PageClient, guarded
from reading_studies import make_disc_study
from taskct.reading_room.answers import ANSWERS, AnswerBook


class Served:
    """A study whose application is asked without a server."""

    def __init__(self, study, book, ask):
        self.study, self.book, self.ask = study, book, ask

    def page(self, reader="reader-1"):
        p = self.study.protocol
        return PageClient(self.ask, self.study.links.readers[reader], (p.height, p.width))

    def organiser(self, what="", method="GET", **more):
        return self.ask(method, f"/o/{self.study.links.organiser}/{what}", **more)


@pytest.fixture
def serve_app(tmp_path):
    """Makes a study of discs and its application."""
    opened = []

    def make(design="2afc", **options):
        study = make_disc_study(tmp_path / f"study-{len(opened)}", design, **options)
        return with_book(study)

    def with_book(study):
        book, asker = AnswerBook(study.path / ANSWERS), AppAsker(None)
        asker.app = guarded(study, book)
        opened.extend((book.release, asker.close))
        return Served(study, book, asker)

    make.again = with_book
    yield make
    for end in opened:
        end()
