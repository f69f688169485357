"""Clusters of cases: a table of their own, a column of the ratings, and back."""

import re

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.io.cluster_files import read_clusters
from taskct.io.ratings_files import read_clustered_ratings, read_ratings_csv, write_ratings_csv
from taskct.metrics.mrmc import Ratings


@pytest.fixture
def table(tmp_path):
    """A function that writes a table and gives its path."""

    def write(text):
        path = tmp_path / "clusters.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_table_names_the_cluster_of_every_case(table):
    path = table("cluster,note,case\nanna,,'-1\nben,x,two cases\nanna,,c\nzoe,,other\n")
    assert read_clusters(path, ("c", "twocases", "-1")).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("case;cluster\na;1\n", "semicolons"),
        ("case\na\n", "'cluster' once"),
        ("case,cluster\na,1\nb\n", "line 3: 1 fields"),
        ("case,cluster\na,\nb,1\n", "line 2: the cluster is empty"),
        ("case,cluster\na,1\nb,2\na,2\n", "line 4: case 'a' has another cluster than on line 2"),
        ("case,cluster\na,1\n", "no line for case 'b' (1 cases lack one)"),
        ("case,cluster\na,1\nb,1\n", "all cases are of one cluster"),
        ("", "'case' once"),
    ],
)
def test_what_is_no_table_of_clusters_is_one_line(table, text, words):
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        read_clusters(table(text), ("a", "b"))
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_clusters(tmp_path / "none.csv", ("a",))


def test_ratings_carry_their_clusters_there_and_back(tmp_path):
    cases = ("=1", "b", "c", "d")
    ratings = Ratings(np.arange(8.0).reshape(1, 2, 4), np.array([1, 1, 0, 0], bool), ("A",), ("x", "y"), cases)
    path, clusters = tmp_path / "ratings.csv", np.array([0, 1, 1, 2])
    write_ratings_csv(path, ratings, clusters=clusters)
    read, back = read_clustered_ratings(path)
    assert back.tolist() == clusters.tolist()
    assert read.cases == cases
    np.testing.assert_array_equal(read_ratings_csv(path).scores, ratings.scores)
    write_ratings_csv(path, ratings)
    assert read_clustered_ratings(path)[1] is None
    assert "cluster" not in path.read_text()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("x,a,A,1,0.5,p", "x,a,A,1,0.5,"), "line 2: the cluster is empty"),
        (("y,a,A,1,0.5,p", "y,a,A,1,0.5,q"), "case 'a' has another cluster than on line 2"),
        (("score,cluster", "score,cluster,cluster"), "'cluster' twice"),
        ((",q", ",p"), "all cases are of one cluster"),
    ],
)
def test_a_wrong_column_of_clusters_is_one_line(tmp_path, changed, words):
    text = "reader,case,modality,signal_present,score,cluster\n"
    text += "x,a,A,1,0.5,p\ny,a,A,1,0.5,p\nx,b,A,0,0.1,q\ny,b,A,0,0.2,q\n"
    path = tmp_path / "ratings.csv"
    path.write_text(text.replace(*changed))
    with pytest.raises(UserError, match=re.escape(words)):
        read_clustered_ratings(path)
