package embeddedtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/embedded"

	"github.com/redis/go-redis/v9"
)

// kindVariable says on which kind of Redis the tests run.
const kindVariable = "SLUICE_TEST_REDIS"

// steady is how long a server that is lent may be silent before the others take it for
// dead: nobody may break it, and a machine with much to do must not.
const steady = 30 * time.Second

// lent is a Redis that tests have one after the other.
type lent struct {
	url string
	// masters and replicas are its servers: those that hold data.
	masters, replicas []*embedded.Redis
	stop              func()
}

// pool keeps those that no test uses now.
var pool struct {
	sync.Mutex
	idle []*lent
}

// Redis returns the URL of an empty Redis that this test has to itself, without
// persistence: one server, or of the kind that SLUICE_TEST_REDIS names ("server",
// "sentinel": one behind three sentinels, with a replica; "cluster": three masters with a
// replica each). When the test ends its connections are cut, it is emptied, its memory
// limit lifted, and another test gets it. A test that stops servers, or changes other
// settings, takes RedisServer, Cluster or Sentinels.
func Redis(t testing.TB) string {
	t.Helper()
	l, err := borrow()
	if err != nil {
		fail(t, err)
	}
	t.Cleanup(func() {
		if err := l.empty(); err != nil {
			t.Errorf("empty the test's Redis: %v", err)
			l.stop()
			return
		}
		pool.Lock()
		defer pool.Unlock()
		pool.idle = append(pool.idle, l)
	})
	return l.url
}

func borrow() (*lent, error) {
	pool.Lock()
	if last := len(pool.idle) - 1; last >= 0 {
		l := pool.idle[last]
		pool.idle = pool.idle[:last]
		pool.Unlock()
		return l, nil
	}
	pool.Unlock()
	return startLent(os.Getenv(kindVariable))
}

// startLent starts one of a kind, until the test binary ends.
func startLent(kind string) (*lent, error) {
	ctx, cancel := within()
	defer cancel()
	switch kind {
	case "", "server":
		r, err := start(embedded.RedisOptions{})
		if err != nil {
			return nil, err
		}
		return &lent{url: r.URL, masters: []*embedded.Redis{r}, stop: r.Kill}, nil
	case "sentinel":
		s, err := startSentinel(ctx, embedded.SentinelOptions{DownAfter: steady})
		if err != nil {
			return nil, err
		}
		return &lent{url: s.URL, masters: []*embedded.Redis{s.Redis(0)}, replicas: []*embedded.Redis{s.Redis(1)}, stop: func() { s.Stop() }}, nil
	case "cluster":
		c, err := startRedisCluster(ctx, embedded.ClusterOptions{Replicas: 1, NodeTimeout: steady})
		if err != nil {
			return nil, err
		}
		l := &lent{url: c.URL, stop: func() { c.Stop() }}
		for i := range 3 {
			l.masters, l.replicas = append(l.masters, c.Redis(i)), append(l.replicas, c.Redis(3+i))
		}
		return l, nil
	}
	return nil, fmt.Errorf("%s is %q: it must be server, sentinel or cluster", kindVariable, kind)
}

// empty makes a used Redis as good as new.
func (l *lent) empty() error {
	ctx, cancel := within()
	defer cancel()
	errs := make(chan error)
	// Nobody may write while it is emptied, by whatever server he is answered.
	everywhere := []string{
		"client kill type normal skipme yes",
		"client kill type pubsub",
		"config set maxmemory 0 maxmemory-policy noeviction",
		"script flush sync",
	}
	for _, r := range l.masters {
		commands := slices.Concat(everywhere, []string{"flushall sync"})
		if len(l.replicas) > 0 {
			commands = append(commands, fmt.Sprintf("wait 1 %d", patience.Milliseconds()))
		}
		go func() { errs <- tell(ctx, r, commands) }()
	}
	for _, r := range l.replicas {
		go func() { errs <- tell(ctx, r, everywhere) }()
	}
	var err error
	for range len(l.masters) + len(l.replicas) {
		err = errors.Join(err, <-errs)
	}
	return err
}

// tell gives a server commands, one after the other.
func tell(ctx context.Context, r *embedded.Redis, commands []string) error {
	options, err := redis.ParseURL(r.URL)
	if err != nil {
		return err
	}
	options.PoolSize = 1 // WAIT is for what the same connection has written
	options.ReadTimeout = patience
	client := newClient(options)
	defer client.Close()
	for _, command := range commands {
		var args []any
		for word := range strings.FieldsSeq(command) {
			args = append(args, word)
		}
		if err := client.Do(ctx, args...).Err(); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	return nil
}
