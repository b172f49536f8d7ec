package bench

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// openTest opens a house for a test.
func openTest(t *testing.T, o Options) *house {
	t.Helper()
	h, err := openHouse(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// TestStage: each has servers on which nothing is, and knows what they compute.
func TestStage(t *testing.T) {
	h := openTest(t, Options{})
	for range 2 {
		s, err := h.stage(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Redis()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := c.DBSize(t.Context()).Result(); err != nil || n != 0 {
			t.Errorf("Redis has %d keys, %v", n, err)
		}
		used, err := s.Spent(func() error {
			if err := c.Eval(t.Context(), `local n = 0 for i = 1, 1e7 do n = n + i end return redis.call("SET", "k", n)`, nil).Err(); err != nil {
				return err
			}
			conn, err := pgx.Connect(t.Context(), s.PostgresURL)
			if err != nil {
				return err
			}
			defer conn.Close(t.Context())
			_, err = conn.Exec(t.Context(), `create table t as select n from generate_series(1, 300000) as n`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, known := cpuOf(os.Getpid()); known && (used["redis"] < 20*time.Millisecond || used["postgres"] < 20*time.Millisecond) {
			t.Errorf("they computed %v", used)
		}
		if _, known := rssOf(os.Getpid()); known && (s.RSS()["redis"] < 1<<20 || s.RSS()["postgres"] < 1<<20) {
			t.Errorf("they have %v", s.RSS())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestGivenServers: a Redis in which somebody has something is left alone.
func TestGivenServers(t *testing.T) {
	h := openTest(t, Options{})
	theirs, err := h.stage(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	c, err := theirs.Redis()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Set(t.Context(), "k", "theirs", 0).Err(); err != nil {
		t.Fatal(err)
	}
	guest := openTest(t, Options{RedisURL: theirs.RedisURL, PostgresURL: theirs.PostgresURL})
	if _, err := guest.stage(t.Context(), false); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a full Redis: %v", err)
	}
	if got := c.Get(t.Context(), "k").Val(); got != "theirs" {
		t.Errorf("it holds %q now", got)
	}
	if err := c.Del(t.Context(), "k").Err(); err != nil {
		t.Fatal(err)
	}
	s, err := guest.stage(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Set(t.Context(), "ours", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := c.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys are left behind", n)
	}
}

// TestDyingProgram: one that ends by itself is told, with what it said last.
func TestDyingProgram(t *testing.T) {
	h := openTest(t, Options{})
	s, err := h.stage(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(t.Context(), "stillborn", Command{Args: []string{"sh", "-c", "echo no such table >&2; exit 3"}}); err == nil || !strings.Contains(err.Error(), "no such table") {
		t.Errorf("stillborn: %v", err)
	}
	p, err := s.Start(t.Context(), "short-lived", Command{Args: []string{"sh", "-c", "echo listening on 127.0.0.1:1; read line; echo out of luck; exit 4"}})
	if err != nil {
		t.Fatal(err)
	}
	if p.Address != "127.0.0.1:1" {
		t.Errorf("it listens on %q", p.Address)
	}
	<-p.ended // its standard input is empty
	if _, err := s.Spent(func() error { return nil }); err == nil || !strings.Contains(err.Error(), "out of luck") || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("short-lived: %v", err)
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("its end is forgotten: %v", err)
	}
}

// TestStop: a program that ends as it is told is no error; one that ends badly then is.
func TestStop(t *testing.T) {
	h := openTest(t, Options{})
	s, err := h.stage(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]string{
		"echo listening on x; sleep 100 & wait":                                     "",
		"trap 'exit 0' TERM; echo listening on x; sleep 100 & wait":                 "",
		"trap 'echo half done; exit 1' TERM; echo listening on x; sleep 100 & wait": "half done",
	} {
		p, err := s.Start(t.Context(), "program", Command{Args: []string{"bash", "-c", script}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Leave(p); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", script, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
