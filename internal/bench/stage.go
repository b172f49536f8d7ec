package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded"
	"sluice/internal/redisurl"
)

// Stage is a pair of servers on which nothing is, and the processes that are measured
// on them.
type Stage struct {
	RedisURL, PostgresURL string

	house    *house
	database string
	folder   string
	redis    *embedded.Redis   // nil: a given one, or a cluster
	cluster  *embedded.Cluster // nil: one server
	servers  map[string]int    // process numbers; none of given ones

	mu       sync.Mutex
	programs []*Program
	closers  []func() error // called in turn, from the last one, when the programs have ended
}

// errNotEmpty is about a given Redis: a benchmark would mix its own into what is there.
var errNotEmpty = errors.New("the Redis that was given is not empty: name one that nobody uses")

// clusterMasters are those of a cluster that is measured.
const clusterMasters = 3

// stage makes the servers of one scenario; clustered, with masters of a cluster that serve
// the slots evenly and never rewrite their logs, instead of one Redis.
func (h *house) stage(ctx context.Context, clustered bool) (_ *Stage, err error) {
	s := &Stage{house: h, RedisURL: h.RedisURL, servers: map[string]int{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.folder, err = os.MkdirTemp(h.folder, "stage-*"); err != nil {
		return nil, err
	}
	switch {
	case clustered:
		s.cluster, err = embedded.StartCluster(ctx, embedded.ClusterOptions{
			Dir: filepath.Join(s.folder, "cluster"), Masters: clusterMasters, Password: rand.Text(), Durable: true, NodeTimeout: time.Minute,
			Args: []string{"--auto-aof-rewrite-percentage", "0"},
		})
		if err != nil {
			return nil, err
		}
		s.RedisURL = s.cluster.URL
		for i := range clusterMasters {
			s.servers["redis "+strconv.Itoa(i+1)] = s.cluster.PID(i)
		}
	case s.RedisURL == "":
		s.redis, err = embedded.StartRedis(ctx, embedded.RedisOptions{Dir: filepath.Join(s.folder, "redis"), Password: rand.Text(), Durable: true})
		if err != nil {
			return nil, err
		}
		s.RedisURL, s.servers["redis"] = s.redis.URL, s.redis.Process()
	default:
		if err := s.empty(ctx); err != nil {
			return nil, err
		}
	}
	maps.Copy(s.servers, h.postgres.Processes())
	name := "sluice_bench_" + strings.ToLower(rand.Text()[:10])
	if err := h.admin(ctx, "create database "+name); err != nil {
		return nil, err
	}
	s.database = name // from here on all that is there is ours
	u, err := url.Parse(h.postgres.PostgresURL)
	if err != nil {
		return nil, err
	}
	u.Path = "/" + name
	s.PostgresURL = u.String()
	return s, nil
}

// Redis answers a client of the stage's Redis. The caller closes it.
func (s *Stage) Redis() (redis.UniversalClient, error) {
	target, err := redisurl.Parse(s.RedisURL)
	if err != nil {
		return nil, err
	}
	return target.Client(nil), nil
}

// empty says whether a given Redis is.
func (s *Stage) empty(ctx context.Context) error {
	c, err := s.Redis()
	if err != nil {
		return err
	}
	defer c.Close()
	switch n, err := c.DBSize(ctx).Result(); {
	case err != nil:
		return err
	case n > 0:
		return errNotEmpty
	}
	return nil
}

// Close ends the processes, then the servers, and forgets what was on them.
func (s *Stage) Close() (err error) {
	s.mu.Lock()
	programs := s.programs
	s.programs = nil
	s.mu.Unlock()
	for _, p := range slices.Backward(programs) {
		err = errors.Join(err, p.Stop())
	}
	for _, done := range slices.Backward(s.closers) {
		err = errors.Join(err, done())
	}
	s.closers = nil
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch {
	case s.cluster != nil:
		err = errors.Join(err, s.cluster.Stop())
	case s.redis != nil:
		s.redis.Kill() // nobody wants its file
	case s.database != "":
		if c, wrong := s.Redis(); wrong == nil {
			err = errors.Join(err, c.FlushDB(ctx).Err(), c.Close())
		}
	}
	if s.database != "" {
		err = errors.Join(err, s.house.drop(ctx, s.database))
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}

// closing has something done before the servers go.
func (s *Stage) closing(done func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, done)
}

// pids are all processes that are measured now.
func (s *Stage) pids() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(s.servers)
	for _, p := range s.programs {
		all[p.Name] = p.cmd.Process.Pid
	}
	return all
}

// CPU is what each process, with its children, has computed so far: the private
// servers, and every program that runs. On systems that do not tell it is empty.
func (s *Stage) CPU() map[string]time.Duration {
	used := map[string]time.Duration{}
	for name, pid := range s.pids() {
		if d, ok := cpuOf(pid); ok {
			used[name] = d
		}
	}
	return used
}

// RSS is the memory of each process that is resident, in bytes; of Postgres that of its first
// process alone, since all of them share most of it.
func (s *Stage) RSS() map[string]int64 {
	resident := map[string]int64{}
	for name, pid := range s.pids() {
		if n, ok := rssOf(pid); ok {
			resident[name] = n
		}
	}
	return resident
}

// Spent is work, and what each process computed meanwhile. A program that died
// meanwhile is an error.
func (s *Stage) Spent(work func() error) (map[string]time.Duration, error) {
	before := s.CPU()
	err := work()
	after := s.CPU()
	used := map[string]time.Duration{}
	for name, total := range after {
		used[name] = total - before[name]
	}
	return used, errors.Join(err, s.alive())
}

// alive is an error when a program has ended that should not have.
func (s *Stage) alive() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.programs {
		err = errors.Join(err, p.Died())
	}
	return err
}

// PerOne is CPU time in µs per one of n. Who only waited is left out.
func PerOne(used map[string]time.Duration, n float64) map[string]float64 {
	if n <= 0 || len(used) == 0 {
		return nil
	}
	each := map[string]float64{}
	for name, d := range used {
		if d <= 0 {
			continue
		}
		each[name] = float64(d.Nanoseconds()) / 1000 / n
	}
	return each
}
