package partition

import (
	"testing"
	"time"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// condition is what a survey sees of the partition that tests use.
func (f *fixture) condition() Condition {
	f.t.Helper()
	found, err := f.Survey(f.ctx)
	f.must(err)
	if len(found.Partitions) != 4 {
		f.t.Fatalf("%d partitions", len(found.Partitions))
	}
	return found.Partitions[p]
}

// TestSurvey: from a Redis without data to one that is through with its requests.
func TestSurvey(t *testing.T) {
	f := open(t)
	if got := f.condition(); got != (Condition{Known: true, Loading: true}) {
		t.Errorf("without data: %+v", got)
	}
	f.start()
	f.settle() // the mark that opens it
	if got := f.condition(); got != (Condition{Known: true, Generation: 1}) {
		t.Errorf("with nothing to do: %+v", got)
	}
	f.load(lamp(nil))
	for range 3 {
		f.admit(bid(1001, 1))
	}
	b := f.batchOf(2)
	got := f.condition()
	for deadline := time.Now().Add(time.Minute); got.Oldest == 0 && time.Now().Before(deadline); {
		got = f.condition()
	}
	if got.Depth != 3 || got.Oldest == 0 {
		t.Errorf("with three queued: %+v", got)
	}
	f.must(f.Apply(f.ctx, 1, b, 0))
	if got := f.condition(); got.Depth != 1 {
		t.Errorf("with one left: %+v", got)
	}
	held, err := f.Hold(f.ctx, p, "me")
	f.must(err)
	if got := f.condition(); !held || !got.Held || got.Owner != "me" {
		t.Errorf("with an owner: %+v", got)
	}
	f.must(f.Drop(f.ctx, p, "me"))
	f.settle()
	if got := f.condition(); got != (Condition{Known: true, Generation: 1}) {
		t.Errorf("through: %+v", got)
	}
}

// TestSurveyOfAClockThatWentBack: entries may be of a time to come, and are no younger
// than nothing.
func TestSurveyOfAClockThatWentBack(t *testing.T) {
	f := started(t)
	f.settle()
	f.load(lamp(nil))
	f.must(f.raw.HSet(f.ctx, slot(p), "clock", int64(sale.At(time.Now().Add(time.Minute)))).Err())
	f.admit(bid(1001, 1))
	if got := f.condition(); got.Depth != 1 || got.Oldest != 0 {
		t.Errorf("%+v", got)
	}
}

// TestSurveyOfADistrustedRedis: after another server has come, admission answers
// loading until the owner has compared.
func TestSurveyOfADistrustedRedis(t *testing.T) {
	f := started(t)
	f.settle()
	applied, _ := f.applied()
	f.must(f.Trust(f.ctx, p, 1, applied))
	if f.condition().Loading {
		t.Error("loading, although it is trusted")
	}
	f.must(f.raw.HSet(f.ctx, slot(p), "run", "another", "mark", "another").Err())
	if !f.condition().Loading {
		t.Error("not loading, although another server is trusted")
	}
}

// TestSurveyAfterForgottenScripts: a server that has started again is given the script
// again.
func TestSurveyAfterForgottenScripts(t *testing.T) {
	f := started(t)
	f.must(f.raw.ScriptFlush(f.ctx).Err())
	if got := f.condition(); got.Generation != 1 {
		t.Errorf("%+v", got)
	}
}

// TestSurveyOfTheServer: what a real server says of itself, as it is configured.
func TestSurveyOfTheServer(t *testing.T) {
	f := over(t, embeddedtest.RedisServer(t).URL)
	set := func(name, value string) {
		t.Helper()
		f.must(f.raw.ConfigSet(f.ctx, name, value).Err())
	}
	set("maxmemory", "100mb")
	set("maxmemory-policy", "noeviction")
	set("appendonly", "yes")
	before, err := f.Survey(f.ctx)
	f.must(err)
	s := before.Server
	if s.Memory <= 0 || s.MemoryMax != 100<<20 || s.NoEviction != 1 || s.AOF != 1 || s.AOFOK != 1 || s.RDBOK != 1 || s.Replicas != 0 || s.Evicted != 0 || s.Clients <= 0 {
		t.Errorf("%+v", s)
	}
	set("maxmemory", "0")
	set("maxmemory-policy", "allkeys-lru")
	set("appendonly", "no")
	after, err := f.Survey(f.ctx)
	f.must(err)
	if s := after.Server; s.MemoryMax != 0 || s.NoEviction != 0 || s.AOF != 0 {
		t.Errorf("%+v", s)
	}
}

func TestParseServer(t *testing.T) {
	if got, want := parseServer("# Clients\r\nconnected_clients:3\r\n"), (Server{-1, -1, -1, -1, -1, -1, -1, -1, 3}); got != want {
		t.Errorf("one that tells next to nothing: %+v", got)
	}
	broken := "aof_enabled:1\r\naof_last_write_status:err\r\naof_last_bgrewrite_status:ok\r\nrdb_last_bgsave_status:err\r\n"
	if got := parseServer(broken); got.AOF != 1 || got.AOFOK != 0 || got.RDBOK != 0 {
		t.Errorf("one that cannot write: %+v", got)
	}
}
