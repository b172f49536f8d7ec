package embeddedtest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"sluice/internal/redisurl"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Client connects to the Redis at a URL of any kind until the test ends, for a test that
// looks at what no part of ours shows, or tampers with it. Of a cluster it asks every
// master where a command is about all keys (KEYS, DBSIZE, FLUSHALL) or all servers
// (CONFIG SET, SCRIPT FLUSH, CLIENT LIST and the like).
func Client(t testing.TB, url string) redis.UniversalClient {
	t.Helper()
	target, err := redisurl.Parse(url)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	c := target.Client(nil)
	if cluster, ok := c.(*redis.ClusterClient); ok {
		cluster.AddHook(everyMaster{cluster})
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// everyMaster asks all masters of a cluster what is for all of them, and makes one answer
// of theirs.
type everyMaster struct{ cluster *redis.ClusterClient }

func (everyMaster) DialHook(next redis.DialHook) redis.DialHook { return next }

func (everyMaster) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (e everyMaster) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch cmd.Name() {
		case "keys", "dbsize", "flushall", "flushdb", "config", "script", "client", "pubsub", "info":
		default:
			return next(ctx, cmd)
		}
		var adding sync.Mutex
		err := e.cluster.ForEachMaster(ctx, func(ctx context.Context, one *redis.Client) error {
			adding.Lock() // one after the other: the answers so far are in cmd itself
			defer adding.Unlock()
			part := cmd.Clone()
			if err := one.Process(ctx, part); err != nil {
				return err
			}
			return add(cmd, part)
		})
		if err != nil {
			cmd.SetErr(err)
		}
		return err
	}
}

// add makes the answer of one more server a part of the whole.
func add(whole, part redis.Cmder) error {
	switch whole := whole.(type) {
	case *redis.StatusCmd: // all say OK
		whole.SetVal(part.(*redis.StatusCmd).Val())
	case *redis.IntCmd:
		whole.SetVal(whole.Val() + part.(*redis.IntCmd).Val())
	case *redis.StringCmd: // lines of text
		whole.SetVal(whole.Val() + part.(*redis.StringCmd).Val())
	case *redis.StringSliceCmd:
		whole.SetVal(append(whole.Val(), part.(*redis.StringSliceCmd).Val()...))
	case *redis.MapStringIntCmd:
		sums := map[string]int64{}
		for name, n := range part.(*redis.MapStringIntCmd).Val() {
			sums[name] = whole.Val()[name] + n
		}
		whole.SetVal(sums)
	case *redis.MapStringStringCmd: // they are set alike
		whole.SetVal(part.(*redis.MapStringStringCmd).Val())
	default:
		return fmt.Errorf("how do the answers of many servers to %s add up?", whole.Name())
	}
	return nil
}

// Masters connects to each server of a Redis that takes writes until the test ends: for
// what a server answers for itself alone, like INFO and the scripts that it knows.
func Masters(t testing.TB, url string) (masters []*redis.Client) {
	t.Helper()
	switch c := Client(t, url).(type) {
	case *redis.ClusterClient:
		var adding sync.Mutex
		err := c.ForEachMaster(t.Context(), func(_ context.Context, one *redis.Client) error {
			adding.Lock()
			defer adding.Unlock()
			masters = append(masters, one)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	case *redis.Client:
		masters = []*redis.Client{c}
	}
	return masters
}

func newClient(options *redis.Options) *redis.Client {
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options)
}
