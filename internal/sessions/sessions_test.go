package sessions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// fixture is a store, and a second way to what it stores.
type fixture struct {
	*Store
	t   testing.TB
	ctx context.Context
	raw redis.UniversalClient
}

var alice = Session{Account: 7, Role: "buyer", Stamp: "spring"}

func on(t testing.TB, url string, hooks ...redis.Hook) *fixture {
	t.Helper()
	store, err := Open(t.Context(), Options{URL: url, Hooks: hooks})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{store, t, t.Context(), embeddedtest.Client(t, url)}
	t.Cleanup(func() { store.Close() })
	return f
}

// each runs a test over a real Redis and over the imitation that stands in for it
// on a laptop.
func each(t *testing.T, test func(*fixture)) {
	eachOf(t, func(t *testing.T) string { return embeddedtest.Redis(t) }, test)
}

// eachServer is each over one server whatever kind the other tests run on: no release
// before this one knew any other.
func eachServer(t *testing.T, test func(*fixture)) {
	eachOf(t, func(t *testing.T) string { return embeddedtest.RedisServer(t).URL }, test)
}

func eachOf(t *testing.T, url func(*testing.T) string, test func(*fixture)) {
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(on(t, url(t)))
	})
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		test(on(t, "redis://"+miniredis.RunT(t).Addr()))
	})
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) start(of Session) string {
	f.t.Helper()
	refresh, err := f.Start(f.ctx, of)
	f.must(err)
	return refresh
}

func (f *fixture) rotate(refresh string, want Session) string {
	f.t.Helper()
	of, next, err := f.Rotate(f.ctx, refresh)
	f.must(err)
	if of != want {
		f.t.Fatalf("the session is %+v, not %+v", of, want)
	}
	return next
}

// over says that a token is of no session.
func (f *fixture) over(refresh string) {
	f.t.Helper()
	if _, next, err := f.Rotate(f.ctx, refresh); !errors.Is(err, ErrUnknown) || next != "" {
		f.t.Errorf("the session goes on: %v", err)
	}
	if of, err := f.Find(f.ctx, refresh); !errors.Is(err, ErrUnknown) || of != (Session{}) {
		f.t.Errorf("the session is found: %+v, %v", of, err)
	}
}

// nothing says that no key is left.
func (f *fixture) nothing() {
	f.t.Helper()
	keys, err := f.raw.Keys(f.ctx, "*").Result()
	f.must(err)
	if len(keys) > 0 {
		f.t.Errorf("left behind: %q", keys)
	}
}

func TestRotation(t *testing.T) {
	each(t, func(f *fixture) {
		refresh, seen := f.start(alice), map[string]bool{}
		name := Name(refresh)
		for range 5 {
			if seen[refresh] || Name(refresh) != name {
				f.t.Fatal("the next token is not a new one of the same session")
			}
			seen[refresh] = true
			if of, err := f.Find(f.ctx, refresh); err != nil || of != alice {
				f.t.Fatalf("found %+v, %v", of, err)
			}
			refresh = f.rotate(refresh, alice)
		}
	})
}

// TestReplay: whoever shows a former token, thief or victim, ends the family, and
// no other.
func TestReplay(t *testing.T) {
	each(t, func(f *fixture) {
		elsewhere := f.start(alice)
		first := f.start(alice)
		second := f.rotate(first, alice)
		third := f.rotate(second, alice)
		of, next, err := f.Rotate(f.ctx, first)
		if !errors.Is(err, ErrReplayed) || next != "" || of != (Session{}) {
			f.t.Fatalf("a former token: %+v, %v", of, err)
		}
		for _, token := range []string{first, second, third} {
			f.over(token)
		}
		f.rotate(elsewhere, alice)
		if n := f.raw.ZCard(f.ctx, f.sessionsKey(alice.Account)).Val(); n != 1 {
			f.t.Errorf("%d sessions are listed", n)
		}
	})
}

// TestRotationsAtOnce: one token shown ten times at once is a replay, whoever is
// first.
func TestRotationsAtOnce(t *testing.T) {
	each(t, func(f *fixture) {
		refresh := f.start(alice)
		next, errs := make(chan string, 10), make(chan error, 10)
		var crowd sync.WaitGroup
		for range 10 {
			crowd.Go(func() {
				if _, token, err := f.Rotate(f.ctx, refresh); err == nil {
					next <- token
				} else {
					errs <- err
				}
			})
		}
		crowd.Wait()
		close(errs)
		if len(next) != 1 {
			f.t.Fatalf("%d of ten won", len(next))
		}
		replayed := 0
		for err := range errs {
			switch {
			case errors.Is(err, ErrReplayed):
				replayed++
			case !errors.Is(err, ErrUnknown):
				f.t.Error(err)
			}
		}
		if replayed != 1 {
			f.t.Errorf("%d ended the family", replayed)
		}
		f.over(<-next)
		f.nothing()
	})
}

func TestEnd(t *testing.T) {
	each(t, func(f *fixture) {
		first := f.start(alice)
		second := f.rotate(first, alice)
		f.must(f.End(f.ctx, first)) // a former token is of the session, too
		f.over(second)
		for _, unknown := range []string{second, newToken().encode(), "", "?"} {
			f.must(f.End(f.ctx, unknown))
		}
		f.nothing()
	})
}

func TestEndAllAndOthers(t *testing.T) {
	each(t, func(f *fixture) {
		bob := Session{Account: 8, Role: "seller", Stamp: "spring"}
		mine, others, bobs := f.start(alice), []string{f.start(alice), f.start(alice)}, f.start(bob)

		// Bob's name cannot be used to keep or change his session from here.
		f.must(f.EndOthers(f.ctx, alice.Account, Name(bobs), "winter"))
		f.over(mine)
		bobs = f.rotate(bobs, bob)

		mine = f.start(alice)
		others = append(others, f.start(alice))
		f.must(f.EndOthers(f.ctx, alice.Account, Name(mine), "autumn"))
		for _, other := range others {
			f.over(other)
		}
		mine = f.rotate(mine, Session{alice.Account, alice.Role, "autumn"})

		f.must(f.EndAll(f.ctx, alice.Account))
		f.over(mine)
		f.rotate(bobs, bob)
		f.must(f.EndAll(f.ctx, bob.Account))
		f.nothing()
		f.must(f.EndAll(f.ctx, 404))
	})
}

// TestMost: an account cannot fill Redis; whoever is out the longest goes first.
func TestMost(t *testing.T) {
	each(t, func(f *fixture) {
		oldest, used := f.start(alice), f.start(alice)
		key := f.sessionsKey(alice.Account)
		for i, token := range []string{oldest, used} { // as if they had begun before the rest
			ends := time.Now().Add(time.Hour + time.Duration(i)*time.Second).UnixMilli()
			f.must(f.raw.ZAdd(f.ctx, key, redis.Z{Score: float64(ends), Member: Name(token)}).Err())
		}
		used = f.rotate(used, alice)
		for range most - 2 {
			f.start(alice)
		}
		f.rotate(oldest, alice)
		f.must(f.raw.ZAdd(f.ctx, key, redis.Z{Score: float64(time.Now().Add(time.Hour).UnixMilli()), Member: Name(oldest)}).Err())
		f.start(alice)
		if n := f.raw.ZCard(f.ctx, key).Val(); n != most {
			f.t.Errorf("%d sessions are listed", n)
		}
		f.over(oldest)
		f.rotate(used, alice)
		if keys := f.raw.Keys(f.ctx, "sluice:session:*").Val(); len(keys) != most {
			f.t.Errorf("%d sessions are kept", len(keys))
		}
	})
}

func TestSessionsEndByThemselves(t *testing.T) {
	each(t, func(f *fixture) {
		refresh := f.start(alice)
		for range 2 {
			for _, key := range []string{f.sessionKey(bucketOf(alice.Account), Name(refresh)), f.sessionsKey(alice.Account)} {
				if left := f.raw.PTTL(f.ctx, key).Val(); left > Life || left < Life-time.Minute {
					f.t.Errorf("%s lasts %s", key, left)
				}
				f.must(f.raw.PExpire(f.ctx, key, time.Hour).Err()) // a week later, nearly
			}
			refresh = f.rotate(refresh, alice)
		}
		// What has expired is no longer listed after the next sign-in.
		f.must(f.raw.Del(f.ctx, f.sessionKey(bucketOf(alice.Account), Name(refresh))).Err())
		f.must(f.raw.ZAdd(f.ctx, f.sessionsKey(alice.Account), redis.Z{Score: float64(time.Now().Add(-time.Second).UnixMilli()), Member: Name(refresh)}).Err())
		f.over(refresh)
		f.start(alice)
		if n := f.raw.ZCard(f.ctx, f.sessionsKey(alice.Account)).Val(); n != 1 {
			f.t.Errorf("%d sessions are listed", n)
		}
	})
}

// TestRedisHoldsNoSecret: nobody who reads Redis can speak for an account or
// learns who tried to.
func TestRedisHoldsNoSecret(t *testing.T) {
	each(t, func(f *fixture) {
		refresh := f.rotate(f.start(alice), alice)
		if _, err := f.Allow(f.ctx, "sign-in as alice@example.com", Limit{1, time.Minute}); err != nil {
			f.t.Fatal(err)
		}
		parsed, _ := parseToken(refresh)
		var all strings.Builder
		for _, key := range f.raw.Keys(f.ctx, "*").Val() {
			fmt.Fprintln(&all, key, f.raw.HGetAll(f.ctx, key).Val(), f.raw.ZRange(f.ctx, key, 0, -1).Val(), f.raw.Get(f.ctx, key).Val())
		}
		if !strings.Contains(all.String(), Name(refresh)) {
			f.t.Errorf("this is not what Redis holds: %s", &all)
		}
		for _, secret := range []string{refresh, refresh[:20], refresh[30:], string(parsed.family[:]), string(parsed.secret[:]),
			fmt.Sprintf("%x", parsed.family), fmt.Sprintf("%x", parsed.secret), "alice", "example"} {
			if strings.Contains(all.String(), secret) {
				f.t.Errorf("%q stands in Redis", secret)
			}
		}
	})
}

func TestAFullRedisRefuses(t *testing.T) {
	f := on(t, embeddedtest.Redis(t))
	refresh := f.start(alice)
	f.must(f.raw.ConfigSet(f.ctx, "maxmemory", "1").Err())
	if _, err := f.Start(f.ctx, alice); !errors.Is(err, sale.ErrUnavailable) {
		t.Errorf("start: %v", err)
	}
	if _, _, err := f.Rotate(f.ctx, refresh); !errors.Is(err, sale.ErrUnavailable) {
		t.Errorf("rotate: %v", err)
	}
	f.must(f.raw.ConfigSet(f.ctx, "maxmemory", "0").Err())
	f.rotate(refresh, alice)
}

func TestNothingRunsAfterClose(t *testing.T) {
	url := embeddedtest.Redis(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	store, err := Open(t.Context(), Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Start(t.Context(), alice); err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// TestFaultsTellNothing: what goes wrong is told without a token.
func TestFaultsTellNothing(t *testing.T) {
	server := miniredis.RunT(t)
	url := "redis://:secret@" + server.Addr()
	store, err := Open(t.Context(), Options{URL: "redis://" + server.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	refresh, err := store.Start(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for name, ask := range map[string]func() error{
		"start":  func() error { _, err := store.Start(ctx, alice); return err },
		"find":   func() error { _, err := store.Find(ctx, refresh); return err },
		"rotate": func() error { _, _, err := store.Rotate(ctx, refresh); return err },
		"end":    func() error { return store.End(ctx, refresh) },
		"others": func() error { return store.EndOthers(ctx, 7, Name(refresh), "x") },
		"all":    func() error { return store.EndAll(ctx, 7) },
		"allow":  func() error { _, err := store.Allow(ctx, refresh, Limit{1, time.Minute}); return err },
		"back":   func() error { return store.GiveBack(ctx, refresh) },
		"reset":  func() error { return store.Reset(ctx, refresh) },
	} {
		err := ask()
		if err == nil || errors.Is(err, ErrUnknown) || errors.Is(err, ErrReplayed) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), refresh) || strings.Contains(err.Error(), refresh[:20]) {
			t.Errorf("%s tells the token: %v", name, err)
		}
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(ctx, Options{URL: url}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("open: %v", err)
	}
}
