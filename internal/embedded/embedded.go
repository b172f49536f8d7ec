// Package embedded gives a laptop, a demo and the tests the servers that a
// deployment gets from its operator: a Redis and a Postgres of their own.
// Nobody should have to read an installation guide to see the product run, and
// a test against a stand-in proves nothing about the real thing.
//
//	                      Start
//	        ┌───────────────┴────────────────┐
//	      Redis                           Postgres
//	   url given ──→ given             url given ──→ given
//	   redis-server found ──→ private     found ──→ private, database "sluice"
//	   else ──→ in-process                else  ──→ ErrNoPostgres
//	             └─ forgets at exit, so the private Postgres gets
//	                a throw-away database: both forget together
//
//	data folder   lock                 held by the one sluice that uses it
//	              children             held by every process that works in it
//	              redis/   redis.conf  its log and append-only file
//	              postgres/            the cluster      postgres.log
//	              *.password           made once, readable by their server only
//
// Beside Start there are servers for tests and tools that break them: StartRedis runs
// one, StartCluster a Redis Cluster, StartSentinel a master with replicas and sentinels.
//
// Private servers listen on loopback, on a port that changes with every start,
// and ask for a password. They belong to the process that started them and on
// Linux die with it, whatever kills it: the kernel signals them (Pdeathsig).
// They ignore the terminal's Ctrl-C (own process group), so that their parent
// can drain first. When root starts them, Postgres, which refuses to be root,
// runs as the user postgres (or nobody); the data folder and everything above
// it must let that user through.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// What RedisKind says about where Redis came from.
const (
	Given     = "given"      // by its URL
	Private   = "private"    // a redis-server of our own
	InProcess = "in-process" // no redis-server in PATH: an imitation, whose data ends with the process
)

// stopGrace is how long a child may take to stop before it is killed.
const stopGrace = 10 * time.Second

// Options says what to start and where.
type Options struct {
	// Dir is the data folder, made if missing. Empty: /var/lib/sluice for root
	// (Postgres runs as another user, who cannot enter /root), else "sluice" in
	// the user's cache folder.
	Dir string
	// Redis and Postgres are URLs of servers that are already there. They are
	// used as they are, never started, stopped or emptied. With both given there
	// is no data folder. A given Postgres keeps its data even when Redis is
	// in-process and forgets.
	Redis, Postgres string
	// Durable keeps what was written: Redis appends to a file that it syncs each
	// second, Postgres syncs each commit. False is for tests: fast, and a crash
	// of the machine (not of the process) may ruin the folder; Redis starts empty.
	Durable bool
	// Replicable lets StartReplica copy the private Postgres and follow it.
	Replicable bool
	// Log receives one-line notes about what takes time. Nil: silence.
	Log func(format string, args ...any)

	// debian is where Debian keeps Postgres, one folder per version. Tests point
	// it elsewhere; empty is the default.
	debian string
}

// Servers are a Redis and a Postgres that answer.
type Servers struct {
	RedisURL, PostgresURL string
	RedisKind             string // Given, Private or InProcess

	redis    *Redis
	inProc   *inProcess
	postgres *postgres
	database string // throw-away, dropped by Close
	folder   *folder
	close    sync.Once
	closeErr error
}

// Start finds or starts both servers and returns when they answer; ctx bounds
// only the starting. The caller must Close what it gets. Errors: ErrNoPostgres,
// ErrInUse, and for a child that dies the last lines of its log.
func Start(ctx context.Context, o Options) (_ *Servers, err error) {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	s := &Servers{RedisURL: o.Redis, PostgresURL: o.Postgres, RedisKind: Given}
	if o.Redis != "" && o.Postgres != "" {
		return s, nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	// Looked for first: without it nothing should be left behind.
	var programs []string
	if o.Postgres == "" {
		if programs = findPostgres(ctx, o.debian); len(programs) == 0 {
			return nil, ErrNoPostgres
		}
	}
	if s.folder, err = openFolder(ctx, o.Dir, o.Log); err != nil {
		return nil, err
	}

	// Side by side: Postgres takes a second or more, Redis a third of one.
	var postgresErr error
	var starting sync.WaitGroup
	if o.Postgres == "" {
		starting.Go(func() { s.postgres, postgresErr = startPostgres(ctx, s.folder, programs, o) })
	}
	if o.Redis == "" {
		err = s.startRedis(ctx, o)
	}
	starting.Wait()
	if err = errors.Join(err, postgresErr); err != nil {
		return nil, err
	}
	if s.postgres != nil {
		if err = s.chooseDatabase(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close stops the private servers and waits until they are gone, at most about
// 10 s each before they are killed. Given ones are left alone. Calling it again
// returns the same.
func (s *Servers) Close() error {
	s.close.Do(func() {
		var postgresErr, redisErr error
		var stopping sync.WaitGroup
		stopping.Go(func() {
			if s.postgres == nil {
				return
			}
			var dropErr error
			if s.database != "" {
				ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
				dropErr = s.postgres.drop(ctx, s.database)
				cancel()
			}
			postgresErr = errors.Join(dropErr, s.postgres.stop())
		})
		stopping.Go(func() {
			if s.redis != nil {
				redisErr = s.redis.Stop()
			}
			if s.inProc != nil {
				s.inProc.stop()
			}
		})
		stopping.Wait()
		s.closeErr = errors.Join(postgresErr, redisErr)
		if s.folder != nil {
			s.closeErr = errors.Join(s.closeErr, s.folder.close())
		}
	})
	return s.closeErr
}

// Processes are the numbers of the private servers' first processes, by "redis" and
// "postgres": what measures them asks the operating system about these. A given or
// in-process server has none.
func (s *Servers) Processes() map[string]int {
	pids := map[string]int{}
	if s.redis != nil {
		pids["redis"] = s.redis.Process()
	}
	if s.postgres != nil {
		pids["postgres"] = s.postgres.child.cmd.Process.Pid
	}
	return pids
}

func (s *Servers) startRedis(ctx context.Context, o Options) error {
	password, err := s.folder.password("redis.password", nil)
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		o.Log("no redis-server in PATH: Redis runs in-process and forgets everything at exit")
		if s.inProc, err = startInProcess(password); err != nil {
			return fmt.Errorf("start Redis in-process: %w", err)
		}
		s.RedisURL, s.RedisKind = s.inProc.url, InProcess
		return nil
	}
	s.redis, err = StartRedis(ctx, RedisOptions{
		Dir:      filepath.Join(s.folder.path, "redis"),
		Password: password,
		Durable:  o.Durable,
		holds:    s.folder.children,
	})
	if err != nil {
		return err
	}
	s.RedisURL, s.RedisKind = s.redis.URL, Private
	return nil
}

// chooseDatabase picks the database in the private Postgres: the lasting one, or
// a new one that ends with the in-process Redis. Throw-away databases of killed
// runs can be nobody's, because the folder is ours.
func (s *Servers) chooseDatabase(ctx context.Context) error {
	if err := s.postgres.dropThrowAways(ctx); err != nil {
		return err
	}
	name := "sluice"
	if s.RedisKind == InProcess {
		s.database = throwAwayName()
		name = s.database
	}
	s.PostgresURL = s.postgres.url(name)
	return s.postgres.create(ctx, name)
}

// DataDir is the folder that Start uses for Options.Dir: dir, or where the data
// goes when nobody says.
func DataDir(dir string) (string, error) {
	switch {
	case dir != "":
		return filepath.Abs(dir)
	case os.Geteuid() == 0:
		return "/var/lib/sluice", nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("choose a data folder: %w", err)
	}
	return filepath.Join(cache, "sluice"), nil
}
