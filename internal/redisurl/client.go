package redisurl

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// stateFor is how long the client of a cluster goes by what it has learned of the nodes,
// unless one of them tells it otherwise before. A dead master tells nothing.
const stateFor = time.Second

// Client connects to t, tuned. It opens nothing yet. Whoever gets one of a cluster has a
// client that follows MOVED and ASK, and whose MaxRedirects bounds that, and its retries.
func (t *Target) Client(tune func(*redis.UniversalOptions)) redis.UniversalClient {
	o := t.options(tune)
	switch t.Mode {
	case Cluster:
		own := o.Cluster()
		own.DisableRoutingPolicies = true // what concerns every node we ask of every node ourselves
		own.ClusterStateReloadInterval = stateFor
		return redis.NewClusterClient(own)
	case Sentinel:
		return redis.NewFailoverClient(o.Failover())
	}
	return t.simple(o, t.Addrs[0])
}

// Node connects to one server of t, and stays with it, whatever becomes of it.
func (t *Target) Node(addr string, tune func(*redis.UniversalOptions)) *redis.Client {
	return t.simple(t.options(tune), addr)
}

// simple is a client of the one server at addr.
func (t *Target) simple(o *redis.UniversalOptions, addr string) *redis.Client {
	o.Addrs = []string{addr}
	own := o.Simple()
	if t.Socket {
		own.Network = "unix"
	}
	own.MaintNotificationsConfig = o.MaintNotificationsConfig
	return redis.NewClient(own)
}

// options are those of the driver.
func (t *Target) options(tune func(*redis.UniversalOptions)) *redis.UniversalOptions {
	o := &redis.UniversalOptions{
		Addrs: t.Addrs, MasterName: t.Master, DB: t.DB, Username: t.Username, Password: t.Password,
		SentinelUsername: t.SentinelUsername, SentinelPassword: t.SentinelPassword,
	}
	if s := t.server; s != nil {
		o.Protocol, o.ClientName = s.Protocol, s.ClientName
		o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff = s.MaxRetries, s.MinRetryBackoff, s.MaxRetryBackoff
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = s.DialTimeout, s.ReadTimeout, s.WriteTimeout
		o.PoolFIFO, o.PoolSize, o.PoolTimeout = s.PoolFIFO, s.PoolSize, s.PoolTimeout
		o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns, o.MaxConcurrentDials = s.MinIdleConns, s.MaxIdleConns, s.MaxActiveConns, s.MaxConcurrentDials
		o.PipelinePoolSize, o.PipelineReadBufferSize, o.PipelineWriteBufferSize = s.PipelinePoolSize, s.PipelineReadBufferSize, s.PipelineWriteBufferSize
		o.ConnMaxIdleTime, o.ConnMaxLifetime, o.ConnMaxLifetimeJitter = s.ConnMaxIdleTime, s.ConnMaxLifetime, s.ConnMaxLifetimeJitter
	}
	if t.tls != nil {
		o.TLSConfig = t.tls.Clone()
	}
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if tune != nil {
		tune(o)
	}
	if t.Dial != nil {
		o.Dialer = t.dialer()
	}
	return o
}

// dialer is Dial with TLS on top, where that is wanted: the driver leaves it to whoever
// dials.
func (t *Target) dialer() func(context.Context, string, string) (net.Conn, error) {
	if t.tls == nil {
		return t.Dial
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		bare, err := t.Dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		own := t.tls.Clone()
		if own.ServerName == "" {
			own.ServerName, _, _ = net.SplitHostPort(addr)
		}
		secure := tls.Client(bare, own)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, bare.Close())
		}
		return secure, nil
	}
}

// MasterNow asks the Sentinels where the master is: the first that knows.
func (t *Target) MasterNow(ctx context.Context, tune func(*redis.UniversalOptions)) (addr string, err error) {
	for _, sentinel := range t.Addrs {
		c := redis.NewSentinelClient(t.sentinelOptions(sentinel, tune))
		found, fault := c.GetMasterAddrByName(ctx, t.Master).Result()
		_ = c.Close()
		if fault == nil && len(found) == 2 {
			return net.JoinHostPort(found[0], found[1]), nil
		}
		if fault == nil {
			fault = errors.New("it answered something else")
		}
		err = errors.Join(err, fmt.Errorf("ask the Sentinel at %s for its master: %w", sentinel, fault))
	}
	return "", err
}

func (t *Target) sentinelOptions(addr string, tune func(*redis.UniversalOptions)) *redis.Options {
	o := t.options(tune)
	o.Addrs, o.DB, o.Username, o.Password = []string{addr}, 0, t.SentinelUsername, t.SentinelPassword
	own := o.Simple()
	own.MaintNotificationsConfig = o.MaintNotificationsConfig
	return own
}
