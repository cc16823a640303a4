from sql_asking import PLACE, Asker


def found(problems) -> list[tuple[str, str]]:
    return [(problem.code, problem.field) for problem in problems]


def test_a_parameter_without_a_value_and_a_value_without_a_parameter_are_told_together(sqlite: Asker):
    problems = sqlite.check("SELECT * FROM faq WHERE id > :since ORDER BY id", parameters={"sinec": 1})
    assert found(problems) == [
        ("sql.missing-parameter", "data.train.parameters"),
        ("sql.unused-parameter", "data.train.parameters.sinec"),
    ]
    assert problems[0].fix.startswith("rename parameters.sinec to since")
    assert problems[1].fix == "did you mean 'since'?"
    assert {problem.place for problem in problems} == {PLACE}


def test_a_colon_in_a_text_can_be_escaped(sqlite: Asker):
    query = r"SELECT 'at 12:30, see \:here' AS a ORDER BY 1"
    assert sqlite.rows(query) == [{"a": "at 12:30, see :here"}]
    (problem,) = sqlite.check(query.replace("\\", ""))
    assert problem.code == "sql.missing-parameter"
    assert r"\:here" in problem.fix


def test_a_query_without_an_order_is_refused(sqlite: Asker):
    assert found(sqlite.check("SELECT * FROM faq")) == [("sql.no-order", "data.train.query")]
    assert sqlite.check("select * from faq\norder\n  by id") == []


def test_a_second_statement_is_refused(sqlite: Asker):
    several = sqlite.check("SELECT 1; DELETE FROM faq -- ORDER BY")
    assert found(several) == [("sql.several-statements", "data.train.query")]
    assert sqlite.check("SELECT 1 ORDER BY 1;\n") == []


def test_problems_of_query_and_database_are_told_together(sqlite: Asker):
    error = sqlite.error("SELECT :a", path="absent.db")
    assert [problem.code for problem in error.problems] == ["sql.missing-parameter", "sql.no-order", "sql.no-file"]


def test_values_are_bound_and_never_pasted(sqlite: Asker):
    query = "SELECT :a AS a, :b AS b, :c AS c ORDER BY 1"
    values = {"a": "'; DROP TABLE faq", "b": 2.5, "c": None}
    assert sqlite.rows(query, parameters=values) == [values]


def test_a_list_is_bound_as_many_values(sqlite: Asker):
    query = "SELECT id FROM faq WHERE id IN :ids ORDER BY id"
    assert sqlite.rows(query, parameters={"ids": [9, 2]}) == [{"id": 2}, {"id": 9}]
    assert sqlite.rows(query, parameters={"ids": []}) == []
