package embedded

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func sentinels(t *testing.T, o SentinelOptions) *Sentinels {
	t.Helper()
	o.Dir, o.Password = tempDir(t), "s3cret"
	begin := time.Now()
	s, err := StartSentinel(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("it stood after %s", time.Since(begin))
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// behindSentinels is a client as anybody's.
func behindSentinels(t *testing.T, address string) *redis.Client {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	password, _ := u.User.Password()
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: strings.TrimPrefix(u.Path, "/"), SentinelAddrs: strings.Split(u.Host, ","),
		SentinelPassword: u.Query().Get("sentinel_password"), Password: password, MaxRetries: 20,
	})
	t.Cleanup(func() { client.Close() })
	return client
}

// TestMasterDiesUnderSentinels: they choose another one, and it comes back as a
// replica, and so do they.
func TestMasterDiesUnderSentinels(t *testing.T) {
	s := sentinels(t, SentinelOptions{Replicas: 2, Durable: true})
	ctx := t.Context()
	client := behindSentinels(t, s.URL)
	must(t, client.Set(ctx, "k", "kept", 0).Err())
	must(t, client.Do(ctx, "wait", 2, 10_000).Err())
	if s.Nodes() != 6 || s.Data() != 3 {
		t.Errorf("it has %d servers, %d with data", s.Nodes(), s.Data())
	}
	for _, i := range []int{0, 3} {
		if answer, err := ping(ctx, s.Addr(i), ""); err != nil || !strings.HasPrefix(answer, "-NOAUTH") {
			t.Errorf("server %d answers %q, %v without a password", i, answer, err)
		}
	}

	s.Kill(0)
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	if err := s.Healthy(soon); err == nil {
		t.Error("it is healthy without a master")
	}
	cancel()
	must(t, s.Healthy(ctx))
	chosen, err := s.Master(ctx)
	must(t, err)
	if chosen != 1 && chosen != 2 {
		t.Fatalf("the master is %d", chosen)
	}
	eventually(t, "the client finds the new master", func() bool { return client.Get(ctx, "k").Val() == "kept" })
	must(t, s.Restart(ctx, 0))
	s.Kill(s.Data())
	must(t, s.Restart(ctx, s.Data()))
	must(t, s.Healthy(ctx))
	if again, err := s.Master(ctx); again != chosen || err != nil {
		t.Errorf("the master is %d, %v, not %d", again, err, chosen)
	}
}

func TestSentinelsPromote(t *testing.T) {
	s := sentinels(t, SentinelOptions{})
	ctx := t.Context()
	must(t, s.Promote(ctx))
	if master, err := s.Master(ctx); master != 1 || err != nil {
		t.Errorf("the master is %d, %v", master, err)
	}
	must(t, s.Healthy(ctx))
}
