package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// fleet are servers of one deployment, numbered from 0, that go and come back one by
// one: each keeps its port, its folder and its settings. Different goroutines may work
// on different servers, and look at all of them.
type fleet struct {
	servers []*member
}

// member is one server of a fleet, running or not.
type member struct {
	options RedisOptions // with its port
	ops     *redis.Client

	sync.Mutex
	now     *Redis
	running bool
}

// launch starts all servers side by side.
func launch(ctx context.Context, options []RedisOptions) (*fleet, error) {
	f := &fleet{servers: make([]*member, len(options))}
	errs := make([]error, len(options))
	var starting sync.WaitGroup
	for i, o := range options {
		starting.Go(func() {
			m := &member{options: o, ops: operator(o.Port, o.Password)}
			f.servers[i] = m
			errs[i] = m.start(ctx)
		})
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, f.Stop())
	}
	return f, nil
}

// operator is a connection for commands about the deployment. How long each may take
// is said by its context alone: moving keys takes long, and asking whether somebody is
// there must not.
func operator(port int, password string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: address(port), Password: password, PoolSize: 2, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true,
		ReadTimeout: -1, WriteTimeout: -1, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

func (m *member) start(ctx context.Context) error {
	m.Lock()
	defer m.Unlock()
	if m.running {
		m.now.Kill()
		m.running = false
	}
	r, err := StartRedis(ctx, m.options)
	if err != nil {
		return err
	}
	m.now, m.running = r, true
	return nil
}

// there answers whether it runs, as far as we know: a paused one does.
func (m *member) there() bool {
	m.Lock()
	defer m.Unlock()
	if !m.running {
		return false
	}
	select {
	case <-m.now.child.gone:
		return false
	default:
		return true
	}
}

// Nodes is how many servers there are, running or not.
func (f *fleet) Nodes() int { return len(f.servers) }

// Addr is the host:port of a server, the same after Restart.
func (f *fleet) Addr(i int) string { return address(f.servers[i].options.Port) }

// Redis is a server as it runs now, or ran last.
func (f *fleet) Redis(i int) *Redis {
	m := f.servers[i]
	m.Lock()
	defer m.Unlock()
	return m.now
}

// PID is the number of a server's process, another one after Restart.
func (f *fleet) PID(i int) int { return f.Redis(i).Process() }

// Kill ends a server as a power cut would and returns when it is gone.
func (f *fleet) Kill(i int) {
	m := f.servers[i]
	m.Lock()
	defer m.Unlock()
	m.now.Kill()
	m.running = false
}

// Restart starts a server again, after killing it if it still runs: on its port, with
// what its folder holds. It returns when that is loaded; that it has found its place
// among the others is another matter.
func (f *fleet) Restart(ctx context.Context, i int) error {
	if err := f.servers[i].start(ctx); err != nil {
		return fmt.Errorf("restart server %d: %w", i, err)
	}
	return nil
}

// Pause freezes a server (SIGSTOP), which the others cannot tell from one that was cut
// off, until resume is called. To call it again, or when the server is gone, does
// nothing.
func (f *fleet) Pause(i int) (resume func(), err error) {
	process := f.Redis(i).child.cmd.Process
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("pause server %d: %w", i, err)
	}
	// The handle knows when its process has ended: a number would be another's by then.
	return sync.OnceFunc(func() { _ = process.Signal(syscall.SIGCONT) }), nil
}

// Stop ends all servers, and returns when they are gone. Those that keep their data
// write it out first, paused ones too.
func (f *fleet) Stop() error {
	errs := make([]error, len(f.servers))
	var stopping sync.WaitGroup
	for i, m := range f.servers {
		stopping.Go(func() {
			m.Lock()
			defer m.Unlock()
			errs[i] = m.ops.Close()
			if !m.running {
				return
			}
			m.running = false
			if m.options.Durable {
				errs[i] = errors.Join(errs[i], m.end())
				return
			}
			m.now.Kill()
		})
	}
	stopping.Wait()
	return errors.Join(errs...)
}

// end asks a server to stop until it does. One that is about to write its file anew, as a
// replica does after it has taken over its master's data, refuses to stop meanwhile.
func (m *member) end() error {
	process := m.now.child.cmd.Process
	for deadline := time.Now().Add(stopGrace); time.Now().Before(deadline); {
		for _, signal := range []syscall.Signal{syscall.SIGCONT, syscall.SIGTERM} {
			if err := process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return fmt.Errorf("stop %s: %w", m.now.child.name, err)
			}
		}
		select {
		case <-m.now.child.gone:
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
	m.now.Kill()
	return fmt.Errorf("%s did not stop within %s and was killed:\n%s", m.now.child.name, stopGrace, tail(m.now.child.log, 15))
}
