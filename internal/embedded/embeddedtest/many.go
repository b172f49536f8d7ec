package embeddedtest

import (
	"context"
	"testing"

	"sluice/internal/embedded"
)

// Cluster starts a Redis Cluster for this test, which may break it: kill servers, freeze
// them, move slots. Where o says nothing it has three masters, and no replicas.
func Cluster(t testing.TB, o embedded.ClusterOptions) *embedded.Cluster {
	t.Helper()
	ctx, cancel := within()
	defer cancel()
	c, err := startRedisCluster(ctx, o)
	if err != nil {
		fail(t, err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Sentinels starts a master with replicas and sentinels for this test, which may break
// them. Where o says nothing there are one replica and three sentinels.
func Sentinels(t testing.TB, o embedded.SentinelOptions) *embedded.Sentinels {
	t.Helper()
	ctx, cancel := within()
	defer cancel()
	s, err := startSentinel(ctx, o)
	if err != nil {
		fail(t, err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// startRedisCluster runs one until the test binary ends, in a new folder.
func startRedisCluster(ctx context.Context, o embedded.ClusterOptions) (c *embedded.Cluster, err error) {
	if o.Dir, err = newFolder("cluster"); err != nil {
		return nil, err
	}
	if c, err = embedded.StartCluster(ctx, o); err != nil {
		return nil, err
	}
	atEnd(func() { c.Stop() })
	return c, nil
}

// startSentinel is startRedisCluster for the other kind.
func startSentinel(ctx context.Context, o embedded.SentinelOptions) (s *embedded.Sentinels, err error) {
	if o.Dir, err = newFolder("sentinel"); err != nil {
		return nil, err
	}
	if s, err = embedded.StartSentinel(ctx, o); err != nil {
		return nil, err
	}
	atEnd(func() { s.Stop() })
	return s, nil
}
