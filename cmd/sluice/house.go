package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/rs/zerolog"

	"sluice/internal/embedded"
	"sluice/internal/process"
)

// house is a Process with the servers it stands on, private or given.
type house struct {
	*process.Process
	servers *embedded.Servers
}

var errNothingKept = errors.New("without redis-server in PATH a private Redis forgets everything at exit: there is nothing to look at; name the servers to look at by their URLs")

// open starts what servers are not given, migrates if asked to, and builds the
// Process over them.
func open(ctx context.Context, c process.Config, log zerolog.Logger, migrate bool) (_ *house, err error) {
	h := &house{}
	process.TakeDriverLogs(log)
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if h.servers, err = startServers(ctx, c, log); err != nil {
		return nil, err
	}
	if !migrate && h.servers.RedisKind == embedded.InProcess {
		return nil, errNothingKept
	}
	c.RedisURL, c.PostgresURL = h.servers.RedisURL, h.servers.PostgresURL
	if migrate {
		if err := process.Migrate(ctx, c.SchemaURL()); err != nil {
			return nil, err
		}
	}
	if c.JWTKeys == "" {
		folder, err := embedded.DataDir(c.DataDir)
		if err != nil {
			return nil, err
		}
		if c.JWTKeys, err = process.KeepKey(folder); err != nil {
			return nil, err
		}
	}
	h.Process, err = process.Open(ctx, c, log)
	return h, err
}

func startServers(ctx context.Context, c process.Config, log zerolog.Logger) (*embedded.Servers, error) {
	began := time.Now()
	servers, err := embedded.Start(ctx, embedded.Options{
		Dir: c.DataDir, Redis: c.RedisURL, Postgres: c.PostgresURL, Durable: true,
		Log: func(format string, args ...any) { log.Info().Msgf(format, args...) },
	})
	if errors.Is(err, embedded.ErrInUse) {
		return nil, fmt.Errorf("%w: end it, or choose another folder with SLUICE_DATA_DIR", err)
	}
	if err != nil {
		return nil, err
	}
	log.Info().Str("redis", servers.RedisKind).Stringer("took", time.Since(began).Round(time.Millisecond)).Msg("servers answer")
	return servers, nil
}

// close ends the connections before the servers that they lead to.
func (h *house) close() (err error) {
	if h.Process != nil {
		err = h.Process.Close()
	}
	if h.servers != nil {
		err = errors.Join(err, h.servers.Close())
	}
	return err
}

// ports are opened before anything else: that one is taken should be known
// before a database has been made.
type ports struct{ api, ops net.Listener }

// listen opens both. With elsewhere, a taken port is replaced by a free one on
// the same interface.
func listen(ctx context.Context, c process.Config, elsewhere bool) (p ports, err error) {
	if p.api, err = listenAt(ctx, c.Listen, elsewhere); err != nil {
		return p, fmt.Errorf("%w; choose another address with --listen or SLUICE_LISTEN", err)
	}
	if p.ops, err = listenAt(ctx, c.OpsListen, elsewhere); err != nil {
		return p, errors.Join(fmt.Errorf("%w; choose another address with --ops-listen or SLUICE_OPS_LISTEN", err), p.api.Close())
	}
	return p, nil
}

func listenAt(ctx context.Context, address string, elsewhere bool) (net.Listener, error) {
	l, err := process.Listen(ctx, address)
	if !elsewhere || !errors.Is(err, process.ErrPortBusy) {
		return l, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if l, err = process.Listen(ctx, net.JoinHostPort(host, "0")); err == nil {
		fmt.Fprintf(os.Stderr, "%s is taken; using %s instead\n", address, l.Addr())
	}
	return l, err
}

func (p ports) close() {
	p.api.Close()
	p.ops.Close()
}

// url is where a program on this machine finds the API.
func (p ports) url() string {
	address := p.api.Addr().(*net.TCPAddr)
	host := "127.0.0.1"
	if !address.IP.IsUnspecified() {
		host = address.IP.String()
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(address.Port))
}
