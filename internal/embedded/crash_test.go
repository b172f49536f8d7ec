package embedded

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestPostgresCrashes: what is committed when Postgres is killed is there after its
// restart, at the same URL, as often as it happens.
func TestPostgresCrashes(t *testing.T) {
	s, err := Start(t.Context(), Options{Dir: tempDir(t), Redis: "redis://unused", Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	exec := func(statement string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), s.PostgresURL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(t.Context()) }) // sessions are open when it is killed
	}
	exec(`create table kept (n int primary key)`)
	for range 2 {
		exec(`insert into kept select count(*) from kept`)
		if err := s.KillPostgres(); err != nil {
			t.Fatal(err)
		}
		if _, err := pgx.Connect(t.Context(), s.PostgresURL); err == nil {
			t.Fatal("it answers although it was killed")
		}
		if err := s.RestartPostgres(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	exec(`do $$ begin if (select count(*) from kept) <> 2 then raise 'not kept'; end if; end $$`)
}

// TestGivenPostgresIsLeftAlone: only what is ours is killed.
func TestGivenPostgresIsLeftAlone(t *testing.T) {
	s, err := Start(t.Context(), Options{Redis: "redis://unused", Postgres: "postgres://unused"})
	if err != nil {
		t.Fatal(err)
	}
	if s.KillPostgres() == nil || s.RestartPostgres(t.Context()) == nil {
		t.Error("a given Postgres was killed")
	}
}
