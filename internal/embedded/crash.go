package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// errNotPrivate is about a Postgres that was given: its life is its owner's.
var errNotPrivate = errors.New("this Postgres is not private")

// KillPostgres ends the private Postgres as a crash would (SIGKILL of its first
// process; the others notice and end by themselves, within moments) and returns
// when that process is gone. What was committed is kept. Not for concurrent use,
// nor with RestartPostgres.
func (s *Servers) KillPostgres() error {
	if s.postgres == nil {
		return errNotPrivate
	}
	// The only error is that it has ended already.
	_ = s.postgres.child.cmd.Process.Kill()
	<-s.postgres.child.gone
	return nil
}

// RestartPostgres starts a Postgres that has ended again, in its folder and at its
// URL, and returns when it has recovered and answers. One that still runs is
// killed first.
func (s *Servers) RestartPostgres(ctx context.Context) error {
	if err := s.KillPostgres(); err != nil {
		return err
	}
	p, err := restart(ctx, s.postgres)
	if err == nil {
		s.postgres = p
	}
	return err
}

// restart starts one that has been killed.
func restart(ctx context.Context, killed *postgres) (*postgres, error) {
	ctx, cancel := context.WithTimeout(ctx, startGrace)
	defer cancel()
	for {
		if err := forgetStalePid(killed.child.cmd.Dir); err != nil {
			return nil, err
		}
		p, err := killed.again(ctx)
		if err == nil {
			p.again = killed.again
			return p, nil
		}
		if !stillInUse(err) {
			return nil, fmt.Errorf("restart postgres: %w", err)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return nil, fmt.Errorf("restart postgres: wait for the sessions of the killed one to end: %w", err)
		}
	}
}

// stillInUse recognises a Postgres that refuses to start since sessions of the
// killed one have not ended yet: they share their memory, which it looks for
// whether or not there is a postmaster.pid.
func stillInUse(err error) bool {
	return strings.Contains(err.Error(), "pre-existing shared memory block")
}
