"""The servers that tests share are real, and each test has a database of its own."""

import os

from abx_amr.studies.storages import PostgresStorage


def test_a_test_gets_an_empty_database_to_which_the_variables_point(postgres):
    storage = PostgresStorage()
    assert storage.connection == postgres.connection
    assert storage.names() == []
    storage.open()
    with postgres.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM trials")
        assert cursor.fetchone() == (0,)


def test_the_database_of_one_test_is_not_that_of_another(postgres_server, postgres):
    assert postgres.connection.database != postgres_server.connection.database
    with postgres.cursor() as cursor:
        cursor.execute("SELECT to_regclass('trials')")
        assert cursor.fetchone() == (None,)


def test_a_test_s_own_server_stops_and_starts_where_the_variables_say(own_server):
    storage = PostgresStorage()
    storage.open()
    own_server.down()
    assert own_server.pid() is None
    decided = own_server.recorded_state()
    again = own_server.up_again()
    assert again == decided
    assert os.environ["PG_PORT"] == str(again.port)
    assert storage.names() == []
